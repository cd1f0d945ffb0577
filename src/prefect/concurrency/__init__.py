"""Limits on how much happens at once, and how often."""
