"""The `events` settings; the table itself is in `prefect.settings._server_table`."""

from prefect.settings._server_table import ServerEventsSettings

__all__ = ["ServerEventsSettings"]
