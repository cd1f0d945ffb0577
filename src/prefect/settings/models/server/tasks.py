"""The `tasks` settings; the table itself is in `prefect.settings._server_table`."""

from prefect.settings._server_table import ServerTasksSchedulingSettings, ServerTasksSettings

__all__ = ["ServerTasksSchedulingSettings", "ServerTasksSettings"]
