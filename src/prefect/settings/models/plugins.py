"""The `plugins` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings.table import PluginsSettings

__all__ = ["PluginsSettings"]
