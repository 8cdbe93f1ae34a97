"""Several trained models as one: averages of weights and ensembles of probabilities. Knows no command line."""
