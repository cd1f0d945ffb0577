"""Limits on how many task runs with a tag run at once."""
