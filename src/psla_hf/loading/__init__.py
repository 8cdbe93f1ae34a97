"""From clips to batches: which clip next, decoded, mixed, collated. Knows no models."""
