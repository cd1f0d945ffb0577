"""Paths that published integrations import from. Thin doors onto the real thing; not for new code."""
