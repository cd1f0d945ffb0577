"""The `results` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings.table import ResultsSettings

__all__ = ["ResultsSettings"]
