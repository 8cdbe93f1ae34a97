"""From a folder, a table or shards to clips in one schema. Knows no models and decodes nothing."""
