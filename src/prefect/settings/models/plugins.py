"""The `plugins` settings; the table itself is in `prefect.settings._table`."""

from prefect.settings._table import PluginsSettings

__all__ = ["PluginsSettings"]
