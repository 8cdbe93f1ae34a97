"""Tables of clips and annotations as people have them: rows, columns, cells, names of files, times. Opens no audio."""
