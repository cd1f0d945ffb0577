"""The `cli` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings.table import CLISettings

__all__ = ["CLISettings"]
