"""Tagging sounds with a trained model. Knows no training and no data sets."""
