"""Paths that published integrations import from."""
