"""The `deployments` settings; the table itself is in `prefect.settings._server_table`."""

from prefect.settings._server_table import ServerDeploymentsSettings

__all__ = ["ServerDeploymentsSettings"]
