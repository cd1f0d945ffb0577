"""What a list is narrowed down by: one file per noun, each condition a small model."""
