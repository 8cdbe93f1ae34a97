"""What the figures in the documents are, as Markdown, by where they come from."""
