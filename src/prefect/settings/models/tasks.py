"""The `tasks` settings; the table itself is in `prefect.settings._table`."""

from prefect.settings._table import TasksRunnerSettings, TasksSchedulingSettings, TasksSettings

__all__ = ["TasksRunnerSettings", "TasksSchedulingSettings", "TasksSettings"]
