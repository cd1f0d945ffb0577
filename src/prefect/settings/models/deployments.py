"""The `deployments` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings.table import DeploymentsSettings

__all__ = ["DeploymentsSettings"]
