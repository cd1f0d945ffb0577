"""The `runner` settings; the table itself is in `prefect.settings._table`."""

from prefect.settings._table import RunnerServerSettings, RunnerSettings

__all__ = ["RunnerServerSettings", "RunnerSettings"]
