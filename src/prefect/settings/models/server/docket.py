"""The `docket` settings; the table itself is in `prefect.settings._server_table`."""

from prefect.settings._server_table import ServerDocketSettings

__all__ = ["ServerDocketSettings"]
