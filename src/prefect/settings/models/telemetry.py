"""The `telemetry` settings; the table itself is in `prefect.settings._table`."""

from prefect.settings._table import TelemetrySettings

__all__ = ["TelemetrySettings"]
