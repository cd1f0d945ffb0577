"""The `internal` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings.table import InternalSettings

__all__ = ["InternalSettings"]
