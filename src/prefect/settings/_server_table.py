"""The table of settings, continued: the server and its database. See `_table`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect._lazy import lazy_module
from prefect.settings._services_table import ServerServicesSettings
from prefect.settings.fields import Group, group, setting

if TYPE_CHECKING:
    import urllib.parse as urllib_parse
    from datetime import timedelta
    from pathlib import Path

    from pydantic import SecretStr

    from prefect.settings.fields import LogLevel
    from prefect.settings.table import Settings
else:
    urllib_parse = lazy_module("urllib.parse")


class ServerAPISettings(Group, path="server.api"):
    """The API that the server offers."""

    auth_string: SecretStr | None = setting(None, "`user:password` that clients must give (HTTP basic authentication).")
    host: str = setting("127.0.0.1", "Address the server listens on.")
    port: int = setting(4200, "Port the server listens on.")
    base_path: str | None = setting(None, "Path under which the API is offered, when not /api.")
    default_limit: int = setting(
        200,
        "Largest number of rows in one answer, and the number when none is asked.",
        aliases=("PREFECT_API_DEFAULT_LIMIT",),
    )
    keepalive_timeout: int = setting(5, "Seconds that an idle connection is kept.")
    csrf_protection_enabled: bool = setting(
        False, "Ask clients for CSRF tokens.", aliases=("PREFECT_SERVER_CSRF_PROTECTION_ENABLED",)
    )
    csrf_token_expiration: timedelta = setting(
        "PT1H", "How long a CSRF token is valid.", aliases=("PREFECT_SERVER_CSRF_TOKEN_EXPIRATION",)
    )
    cors_allowed_origins: str = setting(
        "*",
        "Origins that browsers may call from, separated by commas.",
        aliases=("PREFECT_SERVER_CORS_ALLOWED_ORIGINS",),
    )
    cors_allowed_methods: str = setting(
        "*",
        "HTTP methods that browsers may use, separated by commas.",
        aliases=("PREFECT_SERVER_CORS_ALLOWED_METHODS",),
    )
    cors_allowed_headers: str = setting(
        "*", "Headers that browsers may send, separated by commas.", aliases=("PREFECT_SERVER_CORS_ALLOWED_HEADERS",)
    )
    websocket_ping_interval: float = setting(20.0, "Seconds between two pings on a websocket.")
    websocket_ping_timeout: float = setting(
        20.0, "Seconds without an answer to a ping after which a websocket is closed."
    )
    max_parameter_size: int = setting(524_288, "Largest parameters of a flow run, in bytes of JSON.", minimum=0)


class ServerConcurrencySettings(Group, path="server.concurrency"):
    """Concurrency limits."""

    lease_storage: str = setting(
        "prefect.server.concurrency.lease_storage.memory",
        "Module that keeps the leases of concurrency slots.",
        unused="what is kept is kept in the database",
    )
    initial_deployment_lease_duration: float = setting(
        300.0, "Seconds that a run may hold its deployment's slot before it renews it.", minimum=30, maximum=3600
    )
    maximum_concurrency_slot_wait_seconds: float = setting(
        30, "Longest wait, in seconds, that a client which finds no slot is told.", minimum=0
    )


class SQLAlchemyTLSSettings(Group, path="server.database.sqlalchemy.connect_args.tls"):
    """TLS to the database."""

    enabled: bool = setting(False, "Speak TLS with the database.")
    ca_file: str | None = setting(None, "File of certificate authorities to trust.")
    cert_file: str | None = setting(None, "File of the client's certificate.")
    key_file: str | None = setting(None, "File of the client's key.")
    check_hostname: bool = setting(True, "Compare the certificate's name with the host's.")


class SQLAlchemyConnectArgsSettings(Group, path="server.database.sqlalchemy.connect_args"):
    """Arguments for connecting to PostgreSQL."""

    application_name: str | None = setting(None, "Name under which the connections appear in the database.")
    search_path: str | None = setting(None, "Schemas in which tables are looked for.")
    statement_cache_size: int | None = setting(None, "Prepared statements kept for each connection.")
    prepared_statement_cache_size: int | None = setting(
        None,
        "Prepared statements kept by SQLAlchemy.",
        unused="statements are prepared by psycopg alone: see statement_cache_size",
    )
    tls: SQLAlchemyTLSSettings = group(SQLAlchemyTLSSettings)


class SQLAlchemySettings(Group, path="server.database.sqlalchemy"):
    """The pool of connections."""

    connect_args: SQLAlchemyConnectArgsSettings = group(SQLAlchemyConnectArgsSettings)
    pool_size: int = setting(5, "Connections kept open.", aliases=("PREFECT_SQLALCHEMY_POOL_SIZE",))
    pool_recycle: int = setting(3600, "Seconds after which a connection is replaced.")
    pool_timeout: float | None = setting(30.0, "Seconds to wait for a free connection. None waits for ever.")
    max_overflow: int = setting(
        10,
        "Connections opened beyond pool_size when all are in use; they are kept for some minutes.",
        aliases=("PREFECT_SQLALCHEMY_MAX_OVERFLOW",),
    )


class ServerDatabaseSettings(Group, path="server.database"):
    """The database."""

    sqlalchemy: SQLAlchemySettings = group(SQLAlchemySettings)
    connection_url: SecretStr | None = setting(
        lambda root: _connection_url(root),
        "URL of the database. May refer to ${PREFECT_SERVER_DATABASE_PASSWORD}. By default put together from the "
        "settings below, else a SQLite file in the home directory.",
        aliases=("PREFECT_API_DATABASE_CONNECTION_URL",),
    )
    driver: str | None = setting(
        None,
        "Kind of database, when the URL is put together from its parts.",
        aliases=("PREFECT_API_DATABASE_DRIVER",),
        choices=("postgresql+asyncpg", "sqlite+aiosqlite"),
    )
    host: str | None = setting(None, "Host of the database.", aliases=("PREFECT_API_DATABASE_HOST",))
    port: int | None = setting(None, "Port of the database.", aliases=("PREFECT_API_DATABASE_PORT",))
    user: str | None = setting(None, "User of the database.", aliases=("PREFECT_API_DATABASE_USER",))
    name: str | None = setting(
        None, "Name of the database; the file's path for SQLite.", aliases=("PREFECT_API_DATABASE_NAME",)
    )
    password: SecretStr | None = setting(None, "Password of the user.", aliases=("PREFECT_API_DATABASE_PASSWORD",))
    echo: bool = setting(False, "Log every statement.", aliases=("PREFECT_API_DATABASE_ECHO",))
    migrate_on_start: bool = setting(
        True, "Bring the schema up to date at start.", aliases=("PREFECT_API_DATABASE_MIGRATE_ON_START",)
    )
    timeout: float | None = setting(
        10.0,
        "Seconds that a statement, or a wait for SQLite's lock, may take.",
        aliases=("PREFECT_API_DATABASE_TIMEOUT",),
    )
    connection_timeout: float | None = setting(
        5.0, "Seconds that connecting may take.", aliases=("PREFECT_API_DATABASE_CONNECTION_TIMEOUT",)
    )
    migration_timeout: float | None = setting(
        None,
        "Seconds that one statement of a migration may take. None sets no limit.",
        positive=True,
        unused="a migration may take its time; who wants a limit migrates with `prefect server database upgrade`",
    )


class ServerDeploymentsSettings(Group, path="server.deployments"):
    """Deployments."""

    concurrency_slot_wait_seconds: float = setting(
        30.0,
        "Seconds after which a run that found its deployment's limit reached is tried again.",
        aliases=("PREFECT_DEPLOYMENT_CONCURRENCY_SLOT_WAIT_SECONDS",),
        minimum=0,
        unused="a run that found its deployment's limit reached keeps its place, and is told",
    )


class ServerDocketSettings(Group, path="server.docket"):
    """The queue of the server's own background work."""

    name: str = setting("prefect-server", "Name of the queue.", unused="what is kept is kept in the database")
    url: str = setting("memory://", "Where the queue is kept.", unused="what is kept is kept in the database")


class ServerEphemeralSettings(Group, path="server.ephemeral"):
    """Running without a server."""

    enabled: bool = setting(
        False, "Work without a server when api.url is not set.", aliases=("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE",)
    )
    startup_timeout_seconds: int = setting(
        20,
        "Seconds that a temporary server may take to start.",
        unused="without a server runs are recorded in a local database",
    )


class ServerEventsSettings(Group, path="server.events"):
    """Events received by the server."""

    stream_out_enabled: bool = setting(
        True, "Offer the stream of events to clients.", aliases=("PREFECT_API_EVENTS_STREAM_OUT_ENABLED",)
    )
    related_resource_cache_ttl: timedelta = setting(
        "PT5M",
        "How long the resources related to an event are remembered.",
        aliases=("PREFECT_API_EVENTS_RELATED_RESOURCE_CACHE_TTL",),
        unused="what is related to an event is read when it is needed",
    )
    maximum_labels_per_resource: int = setting(
        500, "Labels that a resource may have.", aliases=("PREFECT_EVENTS_MAXIMUM_LABELS_PER_RESOURCE",)
    )
    maximum_related_resources: int = setting(
        100, "Related resources that an event may have.", aliases=("PREFECT_EVENTS_MAXIMUM_RELATED_RESOURCES",)
    )
    maximum_size_bytes: int = setting(
        1_500_000, "Largest event, in bytes of JSON.", aliases=("PREFECT_EVENTS_MAXIMUM_SIZE_BYTES",)
    )
    expired_bucket_buffer: timedelta = setting(
        "PT1M",
        "How long the count of an automation is kept after its time is over.",
        aliases=("PREFECT_EVENTS_EXPIRED_BUCKET_BUFFER",),
        unused="counts of automations are in the database, and end when the event that ended their time has come",
    )
    proactive_granularity: timedelta = setting(
        "PT5S",
        "Time between two looks for automations that wait for something not to happen.",
        aliases=("PREFECT_EVENTS_PROACTIVE_GRANULARITY",),
        unused="automations that wait for something not to happen are looked at when their time is over",
    )
    retention_period: timedelta = setting(
        "P7D", "How long events are kept.", aliases=("PREFECT_EVENTS_RETENTION_PERIOD",)
    )
    maximum_websocket_backfill: timedelta = setting(
        "PT15M",
        "How far back a stream of events may start.",
        aliases=("PREFECT_EVENTS_MAXIMUM_WEBSOCKET_BACKFILL",),
    )
    websocket_backfill_page_size: int = setting(
        250,
        "Past events read at once for a stream.",
        aliases=("PREFECT_EVENTS_WEBSOCKET_BACKFILL_PAGE_SIZE",),
        positive=True,
    )
    messaging_broker: str = setting(
        "prefect.server.utilities.messaging.memory",
        "Module that carries messages inside the server.",
        aliases=("PREFECT_MESSAGING_BROKER",),
        unused="what is kept is kept in the database",
    )
    messaging_cache: str = setting(
        "prefect.server.utilities.messaging.memory",
        "Module that remembers which messages were seen.",
        aliases=("PREFECT_MESSAGING_CACHE",),
        unused="what is kept is kept in the database",
    )
    causal_ordering: str = setting(
        "prefect.server.events.ordering.memory",
        "Module that puts events in the order of their causes.",
        unused="what is kept is kept in the database",
    )
    maximum_event_name_length: int = setting(1024, "Longest name of an event, in characters.", positive=True)
    task_run_events: str = setting(
        "latest",
        "Which states of task runs become events: `every` one; of those reported at once, the `latest`; or `none`.",
        choices=("every", "latest", "none"),
    )


class ServerFlowRunGraphSettings(Group, path="server.flow_run_graph"):
    """The picture of a flow run."""

    max_nodes: int = setting(10_000, "Most nodes in it.", aliases=("PREFECT_API_MAX_FLOW_RUN_GRAPH_NODES",))
    max_artifacts: int = setting(10_000, "Most artifacts in it.", aliases=("PREFECT_API_MAX_FLOW_RUN_GRAPH_ARTIFACTS",))


class ServerLogsSettings(Group, path="server.logs"):
    """Log lines received by the server."""

    stream_out_enabled: bool = setting(False, "Offer the stream of log lines to clients.")
    stream_publishing_enabled: bool = setting(
        False, "Put log lines on the stream.", unused="log lines are read from the database; see stream_out_enabled"
    )


class ServerTasksSchedulingSettings(Group, path="server.tasks.scheduling"):
    """Tasks run in the background."""

    max_scheduled_queue_size: int = setting(
        1000,
        "Task runs that may wait in one queue.",
        aliases=("PREFECT_TASK_SCHEDULING_MAX_SCHEDULED_QUEUE_SIZE",),
        unused="the queue is a table",
    )
    max_retry_queue_size: int = setting(
        100,
        "Retries that may wait in one queue.",
        aliases=("PREFECT_TASK_SCHEDULING_MAX_RETRY_QUEUE_SIZE",),
        unused="the queue is a table",
    )
    pending_task_timeout: timedelta = setting(
        "PT0S",
        "How long a task run may stay pending before it is queued again. Zero: for ever.",
        aliases=("PREFECT_TASK_SCHEDULING_PENDING_TASK_TIMEOUT",),
        unused="claims are leases: a task run whose worker is gone is queued again",
    )


class ServerTasksSettings(Group, path="server.tasks"):
    """Task runs."""

    tag_concurrency_slot_wait_seconds: float = setting(
        10,
        "Seconds after which a task run that found its tag's limit reached is tried again.",
        aliases=("PREFECT_TASK_RUN_TAG_CONCURRENCY_SLOT_WAIT_SECONDS",),
        minimum=0,
    )
    max_cache_key_length: int = setting(
        2000, "Longest cache key, in characters.", aliases=("PREFECT_API_TASK_CACHE_KEY_MAX_LENGTH",)
    )
    scheduling: ServerTasksSchedulingSettings = group(ServerTasksSchedulingSettings)


class ServerUISettings(Group, path="server.ui"):
    """The server's pages."""

    enabled: bool = setting(True, "Offer the pages.", aliases=("PREFECT_UI_ENABLED",))
    v2_enabled: bool = setting(
        True, "Offer the second generation of pages.", unused="there are no pages in the browser yet"
    )
    api_url: str | None = setting(
        lambda root: _ui_api_url(root),
        "Address of the API as the browser sees it; by default where the server listens.",
        aliases=("PREFECT_UI_API_URL",),
        unused="there are no pages in the browser yet",
    )
    serve_base: str = setting(
        "/",
        "Path under which the pages are offered.",
        aliases=("PREFECT_UI_SERVE_BASE",),
        unused="there are no pages in the browser yet",
    )
    static_directory: str | None = setting(
        None,
        "Directory for files made for the pages.",
        aliases=("PREFECT_UI_STATIC_DIRECTORY",),
        unused="there are no pages in the browser yet",
    )
    show_promotional_content: bool = setting(
        True, "Show offers of other products.", unused="there are no pages in the browser yet"
    )


class ServerWorkerChannelSettings(Group, path="server.worker_channel"):
    """Orders to workers."""

    cleanup_queue_storage: str = setting(
        "prefect.server.worker_communication.cleanup_queue.memory",
        "Module that keeps the orders to clean up.",
        unused="what is kept is kept in the database",
    )
    cleanup_lease_seconds: float = setting(
        30.0, "Seconds a worker has for an order before another gets it.", positive=True
    )
    cleanup_max_delivery_attempts: int = setting(3, "Times that an order is given out.", minimum=1)
    cleanup_completed_idempotency_retention_seconds: float | None = setting(
        None,
        "Seconds that a finished order is remembered. None: for ever.",
        unused="orders that were carried out are gone; a run that has ended does not end again",
    )


class ServerSettings(Group, path="server"):
    """The server."""

    logging_level: LogLevel = setting(
        "WARNING", "Lowest level of messages the server logs.", aliases=("PREFECT_LOGGING_SERVER_LEVEL",)
    )
    analytics_enabled: bool = setting(
        True, "Allow anonymous usage statistics.", unused="nothing is ever sent to anybody"
    )
    metrics_enabled: bool = setting(
        False,
        "Offer Prometheus metrics.",
        aliases=("PREFECT_API_ENABLE_METRICS",),
        unused="the server offers no metrics yet",
    )
    log_retryable_errors: bool = setting(
        False,
        "Log errors after which clients try again.",
        aliases=("PREFECT_API_LOG_RETRYABLE_ERRORS",),
        unused="such errors are logged where they are told from others: by clients",
    )
    register_blocks_on_start: bool = setting(
        True, "Register the known types of blocks at start.", aliases=("PREFECT_API_BLOCKS_REGISTER_ON_START",)
    )
    memoize_block_auto_registration: bool = setting(
        True,
        "Skip that when nothing changed since the last time.",
        aliases=("PREFECT_MEMOIZE_BLOCK_AUTO_REGISTRATION",),
    )
    memo_store_path: Path = setting(
        lambda root: root.home / "memo_store.toml",
        "File that remembers what was registered.",
        aliases=("PREFECT_MEMO_STORE_PATH",),
        unused="that nothing has changed is known from the database",
    )
    deployment_schedule_max_scheduled_runs: int = setting(
        50,
        "Most runs of one schedule waiting at a time.",
        aliases=("PREFECT_DEPLOYMENT_SCHEDULE_MAX_SCHEDULED_RUNS",),
    )
    api: ServerAPISettings = group(ServerAPISettings)
    concurrency: ServerConcurrencySettings = group(ServerConcurrencySettings)
    database: ServerDatabaseSettings = group(ServerDatabaseSettings)
    deployments: ServerDeploymentsSettings = group(ServerDeploymentsSettings)
    docket: ServerDocketSettings = group(ServerDocketSettings)
    ephemeral: ServerEphemeralSettings = group(ServerEphemeralSettings)
    events: ServerEventsSettings = group(ServerEventsSettings)
    flow_run_graph: ServerFlowRunGraphSettings = group(ServerFlowRunGraphSettings)
    logs: ServerLogsSettings = group(ServerLogsSettings)
    services: ServerServicesSettings = group(ServerServicesSettings)
    tasks: ServerTasksSettings = group(ServerTasksSettings)
    ui: ServerUISettings = group(ServerUISettings)
    worker_channel: ServerWorkerChannelSettings = group(ServerWorkerChannelSettings)


def _connection_url(root: Settings) -> str:
    parts = root.server.database
    name = parts.name
    if parts.driver == "postgresql+asyncpg":
        return _postgresql_url(root)
    # SQLAlchemy takes everything after the third slash as the path, so an absolute one brings its own slash
    return f"sqlite+aiosqlite:///{name or root.home / 'pluperfect.db'}"


def _postgresql_url(root: Settings) -> str:
    parts = root.server.database
    user = urllib_parse.quote(parts.user or "", safe="")
    password = root.reveal("server.database.password")
    if password is not None:
        user += ":" + urllib_parse.quote(password, safe="")
    address = (parts.host or "localhost") + (f":{parts.port}" if parts.port is not None else "")
    return f"postgresql+asyncpg://{user + '@' if user else ''}{address}/{parts.name or ''}"


def _ui_api_url(root: Settings) -> str:
    if root.api.url:
        return root.api.url
    return f"http://{root.server.api.host}:{root.server.api.port}{root.server.api.base_path or '/api'}"
