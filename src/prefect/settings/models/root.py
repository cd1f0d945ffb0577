"""The `root` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings._root import canonical_environment_prefix
from prefect.settings.table import Settings

__all__ = ["Settings", "canonical_environment_prefix"]
