"""The `api` settings; the table itself is in `prefect.settings._table`."""

from prefect.settings._table import APISettings

__all__ = ["APISettings"]
