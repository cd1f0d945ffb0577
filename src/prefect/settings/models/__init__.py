"""The groups of settings as classes, one module for each part of the table."""
