"""The `worker_channel` settings; the table itself is in `prefect.settings._server_table`."""

from prefect.settings._server_table import ServerWorkerChannelSettings

__all__ = ["ServerWorkerChannelSettings"]
