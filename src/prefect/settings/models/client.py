"""The `client` settings; the table itself is in `prefect.settings._table`."""

from prefect.settings._table import ClientMetricsSettings, ClientSettings

__all__ = ["ClientMetricsSettings", "ClientSettings"]
