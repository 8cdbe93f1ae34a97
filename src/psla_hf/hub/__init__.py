"""Publishing models and data sets with their cards on the Hugging Face Hub."""
