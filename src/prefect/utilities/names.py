"""Random names for runs, and the hiding of secrets."""

from prefect._names import generate_slug, obfuscate, obfuscate_string

__all__ = ["generate_slug", "obfuscate", "obfuscate_string"]
