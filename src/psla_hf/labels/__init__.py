"""Classes, labels as arrays, and the ontology. Knows no audio and no models."""
