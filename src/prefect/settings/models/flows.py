"""The `flows` settings; the table itself is in `prefect.settings._table`."""

from prefect.settings._table import FlowsSettings

__all__ = ["FlowsSettings"]
