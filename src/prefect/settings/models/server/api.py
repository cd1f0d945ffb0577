"""The `api` settings; the table itself is in `prefect.settings._server_table`."""

from prefect.settings._server_table import ServerAPISettings

__all__ = ["ServerAPISettings"]
