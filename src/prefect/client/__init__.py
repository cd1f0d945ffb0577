"""Talking to a Prefect API."""
