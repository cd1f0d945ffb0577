"""The `cli` settings; the table itself is in `prefect.settings._table`."""

from prefect.settings._table import CLISettings

__all__ = ["CLISettings"]
