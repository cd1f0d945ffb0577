"""The `logs` settings; the table itself is in `prefect.settings._server_table`."""

from prefect.settings._server_table import ServerLogsSettings

__all__ = ["ServerLogsSettings"]
