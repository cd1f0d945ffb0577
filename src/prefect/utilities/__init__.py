"""Helpers whose paths flow scripts and integrations import."""
