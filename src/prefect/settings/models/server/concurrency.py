"""The `concurrency` settings; the table itself is in `prefect.settings._server_table`."""

from prefect.settings._server_table import ServerConcurrencySettings

__all__ = ["ServerConcurrencySettings"]
