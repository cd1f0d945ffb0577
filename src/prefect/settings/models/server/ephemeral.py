"""The `ephemeral` settings; the table itself is in `prefect.settings._server_table`."""

from prefect.settings._server_table import ServerEphemeralSettings

__all__ = ["ServerEphemeralSettings"]
