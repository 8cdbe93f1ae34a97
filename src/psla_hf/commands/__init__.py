"""What a person types: one module per command. Everything below it speaks Python."""
