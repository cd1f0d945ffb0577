"""The `experiments` settings; the table itself is in `prefect.settings._table`."""

from prefect.settings._table import ExperimentsSettings

__all__ = ["ExperimentsSettings"]
