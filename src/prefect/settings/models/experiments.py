"""The `experiments` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings.table import ExperimentsSettings

__all__ = ["ExperimentsSettings"]
