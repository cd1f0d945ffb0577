"""Carrying out the runs of deployments in processes of their own: claiming, starting, tending and ending them."""
