"""The `deployments` settings; the table itself is in `prefect.settings._table`."""

from prefect.settings._table import DeploymentsSettings

__all__ = ["DeploymentsSettings"]
