"""The `tasks` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings.table import TasksRunnerSettings, TasksSchedulingSettings, TasksSettings

__all__ = ["TasksRunnerSettings", "TasksSchedulingSettings", "TasksSettings"]
