"""The `client` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings.table import ClientMetricsSettings, ClientSettings

__all__ = ["ClientMetricsSettings", "ClientSettings"]
