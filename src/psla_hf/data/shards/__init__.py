"""Clips in shards, parquet or tars, local or remote: read in the one schema, and made of any clips. Knows no models."""
