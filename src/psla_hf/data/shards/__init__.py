"""Clips in shards, parquet or tars, local or remote: read in the one schema, and made of any clips.

Imports nothing: whoever reads shards needs none of what makes them.
"""
