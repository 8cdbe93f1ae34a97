"""One module per data set: what it is, how it lies on a disk, what its shards are called."""
