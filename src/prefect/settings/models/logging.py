"""The `logging` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings._root import max_log_size_smaller_than_batch_size
from prefect.settings.table import LoggingSettings, LoggingToAPISettings

__all__ = ["LoggingSettings", "LoggingToAPISettings", "max_log_size_smaller_than_batch_size"]
