"""The `api` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings.table import APISettings

__all__ = ["APISettings"]
