"""The `internal` settings; the table itself is in `prefect.settings._table`."""

from prefect.settings._table import InternalSettings

__all__ = ["InternalSettings"]
