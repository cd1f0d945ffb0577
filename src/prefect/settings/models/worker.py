"""The `worker` settings; the table itself is in `prefect.settings._table`."""

from prefect.settings._table import WorkerSettings, WorkerWebserverSettings

__all__ = ["WorkerSettings", "WorkerWebserverSettings"]
