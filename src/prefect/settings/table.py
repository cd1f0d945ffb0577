"""The table of settings: name, type, default, what it means, older names. One line of this file is one setting.

The server's settings are in `_server_table`
and `_services_table`. To add a setting, add a line; its environment variable, its key in
`prefect.toml`, its `PREFECT_...` object and its place in `prefect config view` follow from it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from prefect.settings._root import SettingsRoot
from prefect.settings._server_table import ServerSettings
from prefect.settings.fields import Group, group, setting

if TYPE_CHECKING:
    from pathlib import Path
    from pathlib import Path as AbsolutePath

    from pydantic import SecretStr

    from prefect.settings.fields import LogLevel


class APISettings(Group, path="api"):
    """How to reach the API."""

    url: str | None = setting(
        None,
        "Address of the API, such as http://127.0.0.1:4200/api. Without it, runs are recorded in the local database.",
    )
    auth_string: SecretStr | None = setting(
        None, "`user:password` for HTTP basic authentication against a server that asks for it."
    )
    key: SecretStr | None = setting(None, "API key sent as a bearer token with every request.")
    encryption_key: SecretStr | None = setting(
        None,
        "Keys with which secrets of blocks are encrypted where they are kept, separated by commas: the first encrypts, all "
        "decrypt. Without any, a key in the database itself is used.",
    )
    tls_insecure_skip_verify: bool = setting(False, "Accept any TLS certificate. Only for tests: it defeats TLS.")
    ssl_cert_file: str | None = setting(
        lambda root: os.environ.get("SSL_CERT_FILE") or None,
        "File of certificate authorities to trust. By default SSL_CERT_FILE, else what the HTTP client trusts.",
    )
    enable_http2: bool = setting(False, "Use HTTP/2 when the server offers it.")
    request_timeout: float = setting(60.0, "Seconds after which a request to the API fails.")


class CLISettings(Group, path="cli"):
    """The command line."""

    colors: bool = setting(True, "Colour the output of commands. NO_COLOR in the environment turns it off too.")
    prompt: bool | None = setting(None, "Ask questions. By default only when standard input is a terminal.")
    wrap_lines: bool = setting(True, "Wrap long lines of output at the width of the terminal.")


class ClientMetricsSettings(Group, path="client.metrics"):
    """Metrics of the API client."""

    enabled: bool = setting(
        False,
        "Serve Prometheus metrics of the client.",
        aliases=("PREFECT_CLIENT_ENABLE_METRICS",),
        unused="clients offer no metrics",
    )
    port: int = setting(4201, "Port on which the client's metrics are served.", unused="clients offer no metrics")


class ClientSettings(Group, path="client"):
    """The API client."""

    max_retries: int = setting(5, "How many times a request that failed for a passing reason is sent again.", minimum=0)
    retry_jitter_factor: float = setting(
        0.2,
        "Spread of the wait before a retry, as a fraction of it, so that clients do not return together.",
        minimum=0,
    )
    retry_extra_codes: set[int] = setting("", "More HTTP status codes after which a request is sent again.")
    csrf_support_enabled: bool = setting(True, "Fetch and send CSRF tokens when the server asks for them.")
    custom_headers: dict[str, str] = setting("{}", "Headers added to every request, as a JSON object.")
    server_version_check_enabled: bool = setting(True, "Compare the server's version with the client's at first use.")
    metrics: ClientMetricsSettings = group(ClientMetricsSettings)


class CloudSettings(Group, path="cloud"):
    """Prefect Cloud, as an API one can be connected to."""

    api_url: str = setting("https://api.prefect.cloud/api", "Address of the API of Prefect Cloud.")
    enable_orchestration_telemetry: bool = setting(
        True,
        "Send traces of runs when connected to Prefect Cloud.",
        unused="nothing is ever sent to anybody but the server that is set",
    )
    max_log_size: int = setting(
        25_000,
        "Longest log line, in characters, that Prefect Cloud takes.",
        unused="the size of log lines is limited by logging.to_api.max_log_size alone",
    )
    ui_url: str | None = setting(
        lambda root: default_cloud_ui_url(root.cloud),
        "Address of the pages of Prefect Cloud; by default derived from its API's.",
    )


class DeploymentsSettings(Group, path="deployments"):
    """Defaults for deployments."""

    default_work_pool_name: str | None = setting(
        None, "Work pool of deployments that name none.", aliases=("PREFECT_DEFAULT_WORK_POOL_NAME",)
    )
    default_docker_build_namespace: str | None = setting(
        None,
        "Namespace (registry, account) put before the name of images built for deployments.",
        aliases=("PREFECT_DEFAULT_DOCKER_BUILD_NAMESPACE",),
    )


class EventsSettings(Group, path="events"):
    """Events sent by this process."""

    worker_max_queue_size: int = setting(
        0,
        "Events that may wait to be sent; more are dropped. 0 sets no limit.",
        minimum=0,
        unused="events go the way of what else is recorded, and who is too fast waits",
    )


class ExperimentsSettings(Group, path="experiments"):
    """Experimental features."""

    warn: bool = setting(
        True,
        "Warn when an experimental feature is used.",
        aliases=("PREFECT_EXPERIMENTAL_WARN",),
        unused="there are no experiments",
    )


class FlowsSettings(Group, path="flows"):
    """Defaults for flows."""

    heartbeat_frequency: int | None = setting(
        180,
        "Seconds between the signs of life of a flow run. None sends none.",
        aliases=("PREFECT_RUNNER_HEARTBEAT_FREQUENCY",),
        minimum=30,
        unused="runs are held by leases, which are renewed every fifteen seconds",
    )
    default_retries: int = setting(
        0, "Retries of flows that state none.", aliases=("PREFECT_FLOW_DEFAULT_RETRIES",), minimum=0
    )
    default_retry_delay_seconds: float | list[float] = setting(
        0,
        "Seconds before a retry of flows that state none: one number, or one per retry.",
        aliases=("PREFECT_FLOW_DEFAULT_RETRY_DELAY_SECONDS",),
    )


class InternalSettings(Group, path="internal"):
    """The machinery itself."""

    logging_level: LogLevel = setting(
        lambda root: "DEBUG" if root.debug_mode else "ERROR",
        "Lowest level of messages logged about the machinery itself; DEBUG in debug mode.",
        aliases=("PREFECT_LOGGING_INTERNAL_LEVEL",),
    )


class LoggingToAPISettings(Group, path="logging.to_api"):
    """Log lines recorded with the runs."""

    enabled: bool = setting(True, "Record the log lines of runs.")
    batch_interval: float = setting(2.0, "Seconds between two batches of log lines.")
    batch_size: int = setting(4_000_000, "Largest batch of log lines, in bytes.")
    max_log_size: int = setting(1_000_000, "Largest log line, in bytes; what is beyond is cut off.")
    when_missing_flow: str = setting(
        "warn",
        "What to do when a run's logger is used where there is no run: warn, error or ignore.",
        choices=("warn", "error", "ignore"),
    )


class LoggingSettings(Group, path="logging"):
    """Logging."""

    level: LogLevel = setting(
        lambda root: "DEBUG" if root.debug_mode else "INFO",
        "Lowest level of messages shown and recorded; DEBUG in debug mode.",
    )
    config_path: Path = setting(
        lambda root: root.home / "logging.yml",
        "File with a logging configuration of your own; used when it exists.",
        aliases=("PREFECT_LOGGING_SETTINGS_PATH",),
    )
    extra_loggers: list[str] = setting("", "Other loggers whose messages inside runs are recorded with them.")
    log_prints: bool = setting(False, "Log what flows and tasks print, unless they state otherwise.")
    colors: bool = setting(True, "Colour log lines on the console.")
    markup: bool = setting(False, "Read markup such as [red]...[/red] in log messages on the console.")
    to_api: LoggingToAPISettings = group(LoggingToAPISettings)


class PluginsSettings(Group, path="plugins"):
    """Plugins: packages that run code when the program starts."""

    enabled: bool = setting(
        False, "Run the start-up hooks of plugins.", aliases=("PREFECT_EXPERIMENTS_PLUGINS_ENABLED",)
    )
    allow: set[str] | None = setting(
        "", "Plugins that may run. Empty allows all.", aliases=("PREFECT_EXPERIMENTS_PLUGINS_ALLOW",)
    )
    deny: set[str] | None = setting("", "Plugins that may not run.", aliases=("PREFECT_EXPERIMENTS_PLUGINS_DENY",))
    setup_timeout_seconds: float = setting(
        20.0, "Seconds a plugin has to start.", aliases=("PREFECT_EXPERIMENTS_PLUGINS_SETUP_TIMEOUT_SECONDS",)
    )
    strict: bool = setting(
        False, "Stop when a plugin that is needed fails to start.", aliases=("PREFECT_EXPERIMENTS_PLUGINS_STRICT",)
    )
    safe_mode: bool = setting(
        False, "Load plugins without running them.", aliases=("PREFECT_EXPERIMENTS_PLUGINS_SAFE_MODE",)
    )


class ResultsSettings(Group, path="results"):
    """Results of flows and tasks."""

    default_serializer: str = setting("pickle", "How results are written, unless stated otherwise: pickle, json, ...")
    persist_by_default: bool = setting(False, "Keep results of flows and tasks that do not say.")
    default_storage_block: str | None = setting(
        None,
        "Block, as type/name, in which results are kept. Without it they are local files.",
        aliases=("PREFECT_DEFAULT_RESULT_STORAGE_BLOCK",),
    )
    local_storage_path: Path = setting(
        lambda root: root.home / "storage",
        "Directory of results kept as local files.",
        aliases=("PREFECT_LOCAL_STORAGE_PATH",),
    )


class RunnerServerSettings(Group, path="runner.server"):
    """The runner's own small web server."""

    enable: bool = setting(
        False,
        "Start it: it tells whether the runner is alive.",
        unused="it is started where somebody asks for it: `webserver=True`",
    )
    host: str = setting("localhost", "Address it listens on.")
    port: int = setting(8080, "Port it listens on.")
    log_level: LogLevel = setting("ERROR", "Lowest level of messages it logs.")
    missed_polls_tolerance: int = setting(2, "Polls in a row that may be missed before it reports trouble.")


class RunnerSettings(Group, path="runner"):
    """Runners: processes that serve deployments."""

    process_limit: int = setting(5, "Flow runs that one runner executes at the same time.")
    poll_frequency: int = setting(10, "Seconds between two looks for scheduled runs.")
    crash_on_cancellation_failure: bool = setting(
        False,
        "Mark a run as crashed when it could not be cancelled.",
        unused="a run that cannot be cancelled stays Cancelling, and is tried again",
    )
    auto_install_dependencies: bool = setting(
        False, "Install what a flow declares it needs before running it.", unused="nothing is installed unasked"
    )
    server: RunnerServerSettings = group(RunnerServerSettings)


class TasksRunnerSettings(Group, path="tasks.runner"):
    """Task runners."""

    thread_pool_max_workers: int | None = setting(
        None,
        "Threads of a ThreadPoolTaskRunner that states no number. None leaves it to the runner.",
        aliases=("PREFECT_TASK_RUNNER_THREAD_POOL_MAX_WORKERS",),
        positive=True,
    )
    process_pool_max_workers: int | None = setting(
        None, "Processes of a ProcessPoolTaskRunner that states no number. None: one per processor.", positive=True
    )


class TasksSchedulingSettings(Group, path="tasks.scheduling"):
    """Tasks run in the background, by task workers."""

    default_storage_block: str | None = setting(
        None,
        "Block, as type/name, in which the parameters of background tasks are kept.",
        aliases=("PREFECT_TASK_SCHEDULING_DEFAULT_STORAGE_BLOCK",),
    )
    delete_failed_submissions: bool = setting(
        True,
        "Delete the task run when a background task could not be submitted.",
        aliases=("PREFECT_TASK_SCHEDULING_DELETE_FAILED_SUBMISSIONS",),
        unused="a submission that failed leaves nothing behind",
    )


class TasksSettings(Group, path="tasks"):
    """Defaults for tasks."""

    refresh_cache: bool = setting(False, "Run every task again and replace what its cache holds.")
    default_no_cache: bool = setting(False, "Tasks that state no cache policy have none.")
    disable_caching: bool = setting(False, "Ignore the cache policies of all tasks.")
    default_retries: int = setting(
        0, "Retries of tasks that state none.", aliases=("PREFECT_TASK_DEFAULT_RETRIES",), minimum=0
    )
    default_retry_delay_seconds: float | list[float] | None = setting(
        0,
        "Seconds before a retry of tasks that state none: one number, or one per retry.",
        aliases=("PREFECT_TASK_DEFAULT_RETRY_DELAY_SECONDS",),
    )
    default_persist_result: bool | None = setting(
        None, "Keep results of tasks that do not say. None leaves it to results.persist_by_default."
    )
    runner: TasksRunnerSettings = group(TasksRunnerSettings)
    scheduling: TasksSchedulingSettings = group(TasksSchedulingSettings)


class TelemetrySettings(Group, path="telemetry"):
    """Measurements of runs."""

    enable_resource_metrics: bool = setting(
        True, "Measure the memory and processor time of flow runs.", unused="no metrics of processes are taken"
    )
    resource_metrics_interval_seconds: int = setting(
        10, "Seconds between two measurements.", minimum=1, unused="no metrics of processes are taken"
    )


class TestingSettings(Group, path="testing"):
    """Tests of the library itself."""

    __test__ = False  # its name makes pytest look for tests in it

    test_mode: bool = setting(
        False,
        "Say that the library is under test.",
        aliases=("PREFECT_TEST_MODE",),
        unused="nothing behaves differently in tests",
    )
    unit_test_mode: bool = setting(
        False,
        "Say that its unit tests run.",
        aliases=("PREFECT_UNIT_TEST_MODE",),
        unused="nothing behaves differently in tests",
    )
    unit_test_loop_debug: bool = setting(
        True,
        "Run event loops of unit tests in debug mode.",
        aliases=("PREFECT_UNIT_TEST_LOOP_DEBUG",),
        unused="nothing behaves differently in tests",
    )
    test_setting: Any = setting(
        "FOO",
        "A setting without meaning, to test settings with.",
        aliases=("PREFECT_TEST_SETTING",),
        unused="it is there to be set",
    )


class WorkerWebserverSettings(Group, path="worker.webserver"):
    """The worker's own small web server."""

    host: str = setting("0.0.0.0", "Address it listens on.")
    port: int = setting(8080, "Port it listens on.")


class WorkerSettings(Group, path="worker"):
    """Workers: processes that start the runs of a work pool."""

    debug_mode: bool = setting(False, "Log what the worker does in detail.")
    heartbeat_seconds: float = setting(30, "Seconds between two signs of life.")
    query_seconds: float = setting(10, "Seconds between two looks for scheduled runs.")
    prefetch_seconds: float = setting(10, "Seconds before its time that a run is taken.")
    enable_cancellation: bool = setting(
        False,
        "Let the worker itself stop runs that are cancelled.",
        unused="workers are always told what is to be cancelled",
    )
    cancellation_poll_seconds: float = setting(
        120,
        "Seconds between two looks for cancelled runs.",
        unused="workers are told what is to be cancelled, and need not ask",
    )
    webserver: WorkerWebserverSettings = group(WorkerWebserverSettings)


class Settings(SettingsRoot):
    """All settings. `Settings()` reads every source anew; keyword arguments (nested dictionaries) come first."""

    home: AbsolutePath = setting(
        "~/.prefect", "Directory of everything kept on this machine: database, profiles, results."
    )
    profiles_path: Path = setting(lambda root: root.home / "profiles.toml", "File of profiles.")
    debug_mode: bool = setting(False, "Log in detail.")
    api: APISettings = group(APISettings)
    cli: CLISettings = group(CLISettings)
    client: ClientSettings = group(ClientSettings)
    cloud: CloudSettings = group(CloudSettings)
    deployments: DeploymentsSettings = group(DeploymentsSettings)
    events: EventsSettings = group(EventsSettings)
    experiments: ExperimentsSettings = group(ExperimentsSettings)
    flows: FlowsSettings = group(FlowsSettings)
    internal: InternalSettings = group(InternalSettings)
    logging: LoggingSettings = group(LoggingSettings)
    plugins: PluginsSettings = group(PluginsSettings)
    results: ResultsSettings = group(ResultsSettings)
    runner: RunnerSettings = group(RunnerSettings)
    server: ServerSettings = group(ServerSettings)
    tasks: TasksSettings = group(TasksSettings)
    telemetry: TelemetrySettings = group(TelemetrySettings)
    testing: TestingSettings = group(TestingSettings)
    worker: WorkerSettings = group(WorkerSettings)
    ui_url: str | None = setting(
        lambda root: _ui_url(root), "Address of the pages of the server; by default derived from the API's."
    )
    silence_api_url_misconfiguration: bool = setting(False, "Do not warn when api.url looks wrong.")


Group._root_type = Settings


def default_cloud_ui_url(settings: CloudSettings) -> str | None:
    """The address of the pages that belong to the API of Prefect Cloud in these settings."""
    api_url = settings.api_url
    for start in ("https://api.", "http://api."):
        if api_url.startswith(start):
            return (start.removesuffix("api.") + "app." + api_url.removeprefix(start)).removesuffix("/api")
    return api_url.removesuffix("/api")


def _ui_url(root: Settings) -> str | None:
    url = root.api.url
    if url is None:
        return None
    if root.connected_to_cloud:
        return root.cloud.ui_url
    return url.rstrip("/").removesuffix("/api")
