"""Tables of clips as people have them: their rows, columns and cells, the files they name and the times they list.

Imports nothing: each of its modules is about one of these.
"""
