"""The `runner` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings.table import RunnerServerSettings, RunnerSettings

__all__ = ["RunnerServerSettings", "RunnerSettings"]
