"""The `events` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings.table import EventsSettings

__all__ = ["EventsSettings"]
