"""The `results` settings; the table itself is in `prefect.settings._table`."""

from prefect.settings._table import ResultsSettings

__all__ = ["ResultsSettings"]
