"""The table of settings, continued: the services of the server. See `_table`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect.settings.fields import Group, group, setting

if TYPE_CHECKING:
    import datetime as dt
    from datetime import timedelta

    from prefect.settings._root import SettingsRoot as Settings
else:
    dt = lazy_module("datetime")


class ServicesBaseSetting(Group):
    """What the settings of every service have."""

    enabled: Any = setting(True, "Run this service.")


class ServerServicesCancellationCleanupSettings(ServicesBaseSetting, path="server.services.cancellation_cleanup"):
    """The service that finishes cancellations."""

    enabled: bool = setting(
        True,
        "Cancel what a cancelled run had started.",
        aliases=("PREFECT_API_SERVICES_CANCELLATION_CLEANUP_ENABLED",),
    )
    loop_seconds: float = setting(
        20, "Seconds between two rounds.", aliases=("PREFECT_API_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS",)
    )
    cancelling_timeout_seconds: float = setting(
        300, "Seconds after which a run that does not stop is marked cancelled.", positive=True
    )


class ServerServicesCleanupReconcilerSettings(ServicesBaseSetting, path="server.services.cleanup_reconciler"):
    """The service that has left-over infrastructure removed."""

    enabled: bool = setting(
        True,
        "Have infrastructure of ended runs removed.",
        unused="orders to clean up are given when a run ends, in the same transaction",
    )
    loop_seconds: float = setting(
        5,
        "Seconds between two rounds.",
        positive=True,
        unused="orders to clean up are given when a run ends, in the same transaction",
    )
    batch_size: int = setting(
        100,
        "Runs handled in one round.",
        positive=True,
        unused="orders to clean up are given when a run ends, in the same transaction",
    )


class ServerServicesDBVacuumSettings(ServicesBaseSetting, path="server.services.db_vacuum"):
    """The service that removes old data."""

    enabled: set[str] | bool | None = setting(
        "events,logs,flow_runs",
        "Classes of data to remove when old: of events, logs and flow_runs; true for all, or false.",
    )
    loop_seconds: float = setting(3600, "Seconds between two rounds.", positive=True)
    retention_period: timedelta = setting(
        "P90D",
        "Age from which flow runs and log lines are removed, where it is set and they have no age of their own; above "
        "one hour. Events have server.events.retention_period.",
        minimum=3601,
    )
    log_retention_period: timedelta | None = setting(
        None,
        "Age from which log lines are removed. By default retention_period where that is set, else half a year.",
        minimum=3601,
    )
    flow_run_retention_period: timedelta | None = setting(
        None,
        "Age from which flow runs are removed. By default retention_period where that is set, else a year.",
        minimum=3601,
    )
    batch_size: int = setting(200, "Rows removed in one transaction.", positive=True)
    event_retention_overrides: dict[str, timedelta] = setting(
        '{"prefect.flow-run.heartbeat": "P7D"}', "Other ages for events of some names, as a JSON object."
    )

    @property
    def enabled_vacuum_types(self) -> set[str]:
        """The classes of data that are removed when old."""
        enabled = self.enabled
        return enabled if isinstance(enabled, set) else ({"events", "logs", "flow_runs"} if enabled else set())

    def age_of_logs(self, settings: Settings) -> timedelta:
        """The age from which log lines are removed."""
        return self.log_retention_period or self._age(settings, days=180)

    def age_of_flow_runs(self, settings: Settings) -> timedelta:
        """The age from which flow runs are removed."""
        return self.flow_run_retention_period or self._age(settings, days=365)

    def _age(self, settings: Settings, *, days: int) -> timedelta:
        chosen = settings.source_of("server.services.db_vacuum.retention_period") is not None
        return self.retention_period if chosen else dt.timedelta(days=days)


class ServerServicesEventPersisterSettings(ServicesBaseSetting, path="server.services.event_persister"):
    """The service that writes events to the database."""

    enabled: bool = setting(
        True,
        "Write events to the database.",
        aliases=("PREFECT_API_SERVICES_EVENT_PERSISTER_ENABLED",),
        unused="what is received is written when it is received",
    )
    batch_size: int = setting(
        20,
        "Events written in one transaction.",
        aliases=("PREFECT_API_SERVICES_EVENT_PERSISTER_BATCH_SIZE",),
        positive=True,
        unused="what is received is written when it is received",
    )
    read_batch_size: int = setting(
        1,
        "Events taken from the queue at once.",
        aliases=("PREFECT_API_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE",),
        positive=True,
        unused="what is received is written when it is received",
    )
    flush_interval: float = setting(
        5,
        "Seconds after which an incomplete batch is written.",
        aliases=("PREFECT_API_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL",),
        positive=True,
        unused="what is received is written when it is received",
    )
    queue_max_size: int = setting(
        50_000, "Events that may wait.", positive=True, unused="what is received is written when it is received"
    )
    max_flush_retries: int = setting(
        5,
        "Times that writing a batch is tried again.",
        positive=True,
        unused="what is received is written when it is received",
    )


class ServerServicesEventLoggerSettings(ServicesBaseSetting, path="server.services.event_logger"):
    """The service that logs events."""

    enabled: bool = setting(
        False,
        "Log every event.",
        aliases=("PREFECT_API_SERVICES_EVENT_LOGGER_ENABLED",),
        unused="`prefect event stream` shows events",
    )


class ServerServicesForemanSettings(ServicesBaseSetting, path="server.services.foreman"):
    """The service that tells which workers, pools, queues and deployments are ready."""

    enabled: bool = setting(True, "Keep their status up to date.", aliases=("PREFECT_API_SERVICES_FOREMAN_ENABLED",))
    loop_seconds: float = setting(
        15, "Seconds between two rounds.", aliases=("PREFECT_API_SERVICES_FOREMAN_LOOP_SECONDS",)
    )
    inactivity_heartbeat_multiple: int = setting(
        3,
        "Signs of life that a worker may miss before it counts as offline.",
        aliases=("PREFECT_API_SERVICES_FOREMAN_INACTIVITY_HEARTBEAT_MULTIPLE",),
    )
    fallback_heartbeat_interval_seconds: int = setting(
        30,
        "Seconds between signs of life of a worker that does not say.",
        aliases=("PREFECT_API_SERVICES_FOREMAN_FALLBACK_HEARTBEAT_INTERVAL_SECONDS",),
    )
    deployment_last_polled_timeout_seconds: int = setting(
        60,
        "Seconds after the last poll when a deployment counts as not ready.",
        aliases=("PREFECT_API_SERVICES_FOREMAN_DEPLOYMENT_LAST_POLLED_TIMEOUT_SECONDS",),
    )
    work_queue_last_polled_timeout_seconds: int = setting(
        60,
        "Seconds after the last poll when a work queue counts as not ready.",
        aliases=("PREFECT_API_SERVICES_FOREMAN_WORK_QUEUE_LAST_POLLED_TIMEOUT_SECONDS",),
    )


class ServerServicesLateRunsSettings(ServicesBaseSetting, path="server.services.late_runs"):
    """The service that marks runs as late."""

    enabled: bool = setting(
        True, "Mark runs that did not start in time.", aliases=("PREFECT_API_SERVICES_LATE_RUNS_ENABLED",)
    )
    loop_seconds: float = setting(
        5, "Seconds between two rounds.", aliases=("PREFECT_API_SERVICES_LATE_RUNS_LOOP_SECONDS",)
    )
    after_seconds: timedelta = setting(
        "PT15S",
        "How long after its time a run counts as late.",
        aliases=("PREFECT_API_SERVICES_LATE_RUNS_AFTER_SECONDS",),
    )


class ServerServicesLeaseExpirySettings(ServicesBaseSetting, path="server.services.lease_expiry"):
    """The service that ends flow runs whose process is not heard of any more."""

    enabled: bool = setting(True, "End flow runs whose process is not heard of any more.")


class ServerServicesTaskRunReconciliationSettings(ServicesBaseSetting, path="server.services.task_run_reconciliation"):
    """The service that ends task runs that ended flow runs left open."""

    enabled: bool = setting(True, "End task runs that ended flow runs left open.")


class ServerServicesSchedulerSettings(ServicesBaseSetting, path="server.services.scheduler"):
    """The service that creates the runs of schedules."""

    enabled: bool = setting(True, "Create the runs of schedules.", aliases=("PREFECT_API_SERVICES_SCHEDULER_ENABLED",))
    loop_seconds: float = setting(
        60, "Seconds between two rounds.", aliases=("PREFECT_API_SERVICES_SCHEDULER_LOOP_SECONDS",)
    )
    deployment_batch_size: int = setting(
        100, "Deployments read at once.", aliases=("PREFECT_API_SERVICES_SCHEDULER_DEPLOYMENT_BATCH_SIZE",)
    )
    max_runs: int = setting(
        100, "Most future runs of one deployment.", aliases=("PREFECT_API_SERVICES_SCHEDULER_MAX_RUNS",)
    )
    min_runs: int = setting(
        3, "Fewest future runs of one deployment.", aliases=("PREFECT_API_SERVICES_SCHEDULER_MIN_RUNS",)
    )
    max_scheduled_time: timedelta = setting(
        "P100D",
        "How far ahead runs are created at most.",
        aliases=("PREFECT_API_SERVICES_SCHEDULER_MAX_SCHEDULED_TIME",),
    )
    min_scheduled_time: timedelta = setting(
        "PT1H",
        "How far ahead runs are created at least.",
        aliases=("PREFECT_API_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME",),
    )
    insert_batch_size: int = setting(
        500, "Runs written in one transaction.", aliases=("PREFECT_API_SERVICES_SCHEDULER_INSERT_BATCH_SIZE",)
    )
    recent_deployments_loop_seconds: float = setting(
        5,
        "Seconds between two looks at deployments that just changed.",
        unused="services are told of what there is to do, and know when something is due",
    )


class ServerServicesPauseExpirationsSettings(ServicesBaseSetting, path="server.services.pause_expirations"):
    """The service that ends pauses that lasted too long."""

    enabled: bool = setting(
        True, "Fail runs whose pause has expired.", aliases=("PREFECT_API_SERVICES_PAUSE_EXPIRATIONS_ENABLED",)
    )
    loop_seconds: float = setting(
        5, "Seconds between two rounds.", aliases=("PREFECT_API_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS",)
    )


class ServerServicesRepossessorSettings(ServicesBaseSetting, path="server.services.repossessor"):
    """The service that takes back concurrency slots."""

    enabled: bool = setting(True, "Take back slots whose lease has expired.")
    loop_seconds: float = setting(15, "Seconds between two rounds.")


class ServerServicesTaskRunRecorderSettings(ServicesBaseSetting, path="server.services.task_run_recorder"):
    """The service that records task runs told by events."""

    enabled: bool = setting(
        True,
        "Record task runs told by events.",
        aliases=("PREFECT_API_SERVICES_TASK_RUN_RECORDER_ENABLED",),
        unused="what is received is written when it is received",
    )
    read_batch_size: int = setting(
        1,
        "Events taken from the queue at once.",
        positive=True,
        unused="what is received is written when it is received",
    )
    batch_size: int = setting(
        1,
        "Task runs written in one transaction.",
        positive=True,
        unused="what is received is written when it is received",
    )
    flush_interval: float = setting(
        5,
        "Seconds after which an incomplete batch is written.",
        positive=True,
        unused="what is received is written when it is received",
    )


class ServerServicesTriggersSettings(ServicesBaseSetting, path="server.services.triggers"):
    """The service that evaluates automations."""

    enabled: bool = setting(
        True, "Evaluate the triggers of automations.", aliases=("PREFECT_API_SERVICES_TRIGGERS_ENABLED",)
    )
    read_batch_size: int = setting(
        1,
        "Events taken from the queue at once.",
        positive=True,
        unused="events are read as they come, as many as there are",
    )
    pg_notify_reconnect_interval_seconds: int = setting(
        10,
        "Seconds before PostgreSQL's notifications are asked for again after the connection broke.",
        unused="a connection that broke is made again at once, then with growing pauses",
    )
    pg_notify_heartbeat_interval_seconds: int = setting(
        5, "Seconds between two checks of that connection.", unused="the connection tells when it breaks"
    )


class ServerServicesSettings(Group, path="server.services"):
    """The server's services."""

    cancellation_cleanup: ServerServicesCancellationCleanupSettings = group(ServerServicesCancellationCleanupSettings)
    cleanup_reconciler: ServerServicesCleanupReconcilerSettings = group(ServerServicesCleanupReconcilerSettings)
    db_vacuum: ServerServicesDBVacuumSettings = group(ServerServicesDBVacuumSettings)
    event_persister: ServerServicesEventPersisterSettings = group(ServerServicesEventPersisterSettings)
    event_logger: ServerServicesEventLoggerSettings = group(ServerServicesEventLoggerSettings)
    foreman: ServerServicesForemanSettings = group(ServerServicesForemanSettings)
    late_runs: ServerServicesLateRunsSettings = group(ServerServicesLateRunsSettings)
    lease_expiry: ServerServicesLeaseExpirySettings = group(ServerServicesLeaseExpirySettings)
    scheduler: ServerServicesSchedulerSettings = group(ServerServicesSchedulerSettings)
    pause_expirations: ServerServicesPauseExpirationsSettings = group(ServerServicesPauseExpirationsSettings)
    repossessor: ServerServicesRepossessorSettings = group(ServerServicesRepossessorSettings)
    task_run_reconciliation: ServerServicesTaskRunReconciliationSettings = group(
        ServerServicesTaskRunReconciliationSettings
    )
    task_run_recorder: ServerServicesTaskRunRecorderSettings = group(ServerServicesTaskRunRecorderSettings)
    triggers: ServerServicesTriggersSettings = group(ServerServicesTriggersSettings)
