"""One module per data set: what it is, how it lies on a disk, what its shards are called."""

# By name; named without importing them, for the help of commands.
DATASETS = ("audioset_balanced", "audioset_full", "fsd50k", "esc", "own")
