"""The `flows` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings.table import FlowsSettings

__all__ = ["FlowsSettings"]
