"""The `cloud` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings.table import CloudSettings, default_cloud_ui_url

__all__ = ["CloudSettings", "default_cloud_ui_url"]
