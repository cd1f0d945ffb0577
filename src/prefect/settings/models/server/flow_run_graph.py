"""The `flow_run_graph` settings; the table itself is in `prefect.settings._server_table`."""

from prefect.settings._server_table import ServerFlowRunGraphSettings

__all__ = ["ServerFlowRunGraphSettings"]
