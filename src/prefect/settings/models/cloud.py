"""The `cloud` settings; the table itself is in `prefect.settings._table`."""

from prefect.settings._table import CloudSettings, default_cloud_ui_url

__all__ = ["CloudSettings", "default_cloud_ui_url"]
