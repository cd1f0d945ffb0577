"""The `worker` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings.table import WorkerSettings, WorkerWebserverSettings

__all__ = ["WorkerSettings", "WorkerWebserverSettings"]
