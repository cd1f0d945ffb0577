"""The `services` settings; the table itself is in `prefect.settings._services_table`."""

from prefect.settings._services_table import (
    ServerServicesCancellationCleanupSettings,
    ServerServicesCleanupReconcilerSettings,
    ServerServicesDBVacuumSettings,
    ServerServicesEventLoggerSettings,
    ServerServicesEventPersisterSettings,
    ServerServicesForemanSettings,
    ServerServicesLateRunsSettings,
    ServerServicesPauseExpirationsSettings,
    ServerServicesRepossessorSettings,
    ServerServicesSchedulerSettings,
    ServerServicesSettings,
    ServerServicesTaskRunRecorderSettings,
    ServerServicesTriggersSettings,
    ServicesBaseSetting,
)

__all__ = [
    "ServerServicesCancellationCleanupSettings",
    "ServerServicesCleanupReconcilerSettings",
    "ServerServicesDBVacuumSettings",
    "ServerServicesEventLoggerSettings",
    "ServerServicesEventPersisterSettings",
    "ServerServicesForemanSettings",
    "ServerServicesLateRunsSettings",
    "ServerServicesPauseExpirationsSettings",
    "ServerServicesRepossessorSettings",
    "ServerServicesSchedulerSettings",
    "ServerServicesSettings",
    "ServerServicesTaskRunRecorderSettings",
    "ServerServicesTriggersSettings",
    "ServicesBaseSetting",
]
