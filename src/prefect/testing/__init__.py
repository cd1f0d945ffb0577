"""Helpers for testing flows and tasks."""
