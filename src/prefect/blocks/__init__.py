"""Blocks: configuration, with the secrets in it, that is saved under a name and used by many flows."""
