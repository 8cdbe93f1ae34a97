"""Models that others learn from: what they say of training clips, whatever they are."""
