"""The `testing` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings.table import TestingSettings

__all__ = ["TestingSettings"]
