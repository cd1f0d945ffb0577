"""The groups of the server's settings as classes."""
