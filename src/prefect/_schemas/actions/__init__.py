"""Requests to make or change something: one file per noun."""
