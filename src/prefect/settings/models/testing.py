"""The `testing` settings; the table itself is in `prefect.settings._table`."""

from prefect.settings._table import TestingSettings

__all__ = ["TestingSettings"]
