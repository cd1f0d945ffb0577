"""The `server` settings; the table itself is in `prefect.settings._server_table`."""

from prefect.settings._server_table import ServerSettings

__all__ = ["ServerSettings"]
