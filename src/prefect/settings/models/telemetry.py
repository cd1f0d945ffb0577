"""The `telemetry` settings; the table itself is in `prefect.settings.table`."""

from prefect.settings.table import TelemetrySettings

__all__ = ["TelemetrySettings"]
