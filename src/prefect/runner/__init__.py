"""Serving deployments from a process, and where the code of flows is kept."""
