"""The four files that a saved model carries, and their weights. Defines nothing that those files need."""
