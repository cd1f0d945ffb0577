"""The `ui` settings; the table itself is in `prefect.settings._server_table`."""

from prefect.settings._server_table import ServerUISettings

__all__ = ["ServerUISettings"]
