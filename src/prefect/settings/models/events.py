"""The `events` settings; the table itself is in `prefect.settings._table`."""

from prefect.settings._table import EventsSettings

__all__ = ["EventsSettings"]
