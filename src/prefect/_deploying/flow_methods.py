"""What a flow can do about its deployments. Importing this loads nothing else: every flow has these methods."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prefect._bridge import async_dispatch, in_async_context, run_coro_as_sync
from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from uuid import UUID

    from prefect._deploying import deploying, loading, runner_deployment, serving
    from prefect._deploying.runner_deployment import Intervals, RunnerDeployment, Texts
    from prefect._schemas.concurrency import ConcurrencyLimitConfig
    from prefect._schemas.schedule_spec import Schedule
    from prefect._storage.folders import RunnerStorage
    from prefect.docker.docker_image import DockerImage
    from prefect.flows import Flow
    from prefect.types.entrypoint import EntrypointType
else:
    deploying = lazy_module("prefect._deploying.deploying")
    loading = lazy_module("prefect._deploying.loading")
    runner_deployment = lazy_module("prefect._deploying.runner_deployment")
    serving = lazy_module("prefect._deploying.serving")

D = TypeVar("D", bound="Deployable")

_OF_SERVING = ("name", "global_limit", "pause_on_shutdown", "print_starting_message", "limit", "webserver")
"""Arguments of `serve` that are not those of a deployment."""

_OF_DEPLOYING = ("work_pool_name", "image", "build", "push", "print_next_steps", "ignore_warnings")
"""Arguments of `deploy` that are not those of a deployment."""


def _options(values: dict[str, Any], *but: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in ("self", *but)}


async def afrom_source(source: str | Path | RunnerStorage | Any, entrypoint: str) -> Flow[..., Any]:
    """`from_source` for asynchronous code."""
    return await loading.load_from_source(source, entrypoint)


@async_dispatch(afrom_source)
def from_source(source: str | Path | RunnerStorage | Any, entrypoint: str) -> Any:
    """Load a flow from where its code is kept, to run it here or to deploy it from there.

    ```python
    flow.from_source("https://github.com/org/repo.git", entrypoint="flows/etl.py:etl").deploy("nightly", "my-pool")
    ```

    Args:
        source: the address of a git repository or of a folder that `fsspec` can read, a path, a storage object
            (`prefect.runner.storage`), or a storage block.
        entrypoint: `path/to/file.py:flow_function` within it.

    Returns:
        The flow (in asynchronous code a coroutine that gives it). It knows its storage, so that its deployments use it.

    Raises:
        RuntimeError: the code cannot be fetched.
        MissingFlowError, FileNotFoundError: there is no such flow in it.
    """
    return run_coro_as_sync(afrom_source(source, entrypoint))


async def aserve(
    *args: RunnerDeployment,
    pause_on_shutdown: bool = True,
    print_starting_message: bool = True,
    limit: int | None = None,
    **kwargs: Any,
) -> None:
    """`serve` for asynchronous code."""
    options = {"pause_on_shutdown": pause_on_shutdown, "say": print_starting_message, "limit": limit}
    await serving.serve(args, **options, **kwargs)


def serve(
    *args: RunnerDeployment,
    pause_on_shutdown: bool = True,
    print_starting_message: bool = True,
    limit: int | None = None,
    **kwargs: Any,
) -> None:
    """Make deployments known and run their runs here, each in a process of its own, until interrupted.

    ```python
    serve(extract.to_deployment("hourly", interval=3600), report.to_deployment("daily", cron="0 6 * * *"))
    ```

    Args:
        args: deployments, made with `flow.to_deployment(...)`.
        pause_on_shutdown: pause their schedules when this ends, and let them go on when it starts again.
        print_starting_message: say how to run them.
        limit: how many runs at once.
        **kwargs: more arguments for the `Runner`.

    Raises:
        RuntimeError: called in asynchronous code; there, `await aserve(...)`.
        TypeError, ValueError: there are no deployments, something else is among them, or two have one name.
    """
    options = {"pause_on_shutdown": pause_on_shutdown, "say": print_starting_message, "limit": limit}
    serving.serve_sync(args, **options, **kwargs)


class Deployable:
    """The deployments of a flow."""

    # where the flow's code is kept, its entrypoint there, and the folder in which it is now
    _storage: RunnerStorage | None = None
    _entrypoint: str | None = None
    _code_folder: Path | None = None

    name: str

    async def ato_deployment(
        self,
        name: str,
        interval: Intervals = None,
        cron: Texts = None,
        rrule: Texts = None,
        paused: bool | None = None,
        schedule: Schedule | None = None,
        schedules: Any = None,
        concurrency_limit: int | ConcurrencyLimitConfig | None = None,
        parameters: dict[str, Any] | None = None,
        triggers: list[Any] | None = None,
        description: str | None = None,
        tags: list[str] | None = None,
        version: str | None = None,
        version_type: str | None = None,
        enforce_parameter_schema: bool = True,
        work_pool_name: str | None = None,
        work_queue_name: str | None = None,
        job_variables: dict[str, Any] | None = None,
        entrypoint_type: EntrypointType | None = None,
        _sla: Any = None,
    ) -> RunnerDeployment:
        """`to_deployment` for asynchronous code."""
        return runner_deployment.RunnerDeployment.from_flow(self, **_options(locals()))  # type: ignore[arg-type]

    @async_dispatch(ato_deployment)
    def to_deployment(
        self,
        name: str,
        interval: Intervals = None,
        cron: Texts = None,
        rrule: Texts = None,
        paused: bool | None = None,
        schedule: Schedule | None = None,
        schedules: Any = None,
        concurrency_limit: int | ConcurrencyLimitConfig | None = None,
        parameters: dict[str, Any] | None = None,
        triggers: list[Any] | None = None,
        description: str | None = None,
        tags: list[str] | None = None,
        version: str | None = None,
        version_type: str | None = None,
        enforce_parameter_schema: bool = True,
        work_pool_name: str | None = None,
        work_queue_name: str | None = None,
        job_variables: dict[str, Any] | None = None,
        entrypoint_type: EntrypointType | None = None,
        _sla: Any = None,
    ) -> RunnerDeployment:
        """Describe a deployment of this flow, for `serve(...)`, `deploy(...)` or its own `apply()`.

        Args:
            name: of the deployment.
            interval: seconds (or a timedelta) between runs; several make several schedules.
            cron: when to run, as a cron expression; or several.
            rrule: when to run, as a rule of RFC 5545; or several.
            paused: make no runs by schedule yet.
            schedule: when to run, as `Cron`, `Interval` or `RRule` of `prefect.schedules`.
            schedules: several of those.
            concurrency_limit: how many runs at once; a `ConcurrencyLimitConfig` also says what becomes of one more.
            parameters: defaults for its runs.
            triggers: what else makes it run.
            description: for people, as Markdown; default the flow's.
            tags: of its runs.
            version: of the code; default the flow's.
            version_type: `"vcs:git"` or `"prefect:simple"`; the git commit is noted when there is one, unless given.
            enforce_parameter_schema: refuse runs whose parameters do not fit the flow's annotations.
            work_pool_name: where its runs run.
            work_queue_name: the queue of the pool.
            job_variables: over the defaults of the work pool's job template.
            entrypoint_type: name the flow by its file (the default) or by its module.

        Raises:
            ValueError: more than one kind of schedule is given, or one is not valid.
            InvalidNameError: the name has characters that it cannot have.
            MissingFlowError: another process could not find the flow.
        """
        return run_coro_as_sync(self.ato_deployment(**_options(locals())))

    def serve(
        self,
        name: str | None = None,
        interval: Intervals = None,
        cron: Texts = None,
        rrule: Texts = None,
        paused: bool | None = None,
        schedule: Schedule | None = None,
        schedules: Any = None,
        global_limit: int | ConcurrencyLimitConfig | None = None,
        triggers: list[Any] | None = None,
        parameters: dict[str, Any] | None = None,
        description: str | None = None,
        tags: list[str] | None = None,
        version: str | None = None,
        enforce_parameter_schema: bool = True,
        pause_on_shutdown: bool = True,
        print_starting_message: bool = True,
        limit: int | None = None,
        webserver: bool = False,
        entrypoint_type: EntrypointType | None = None,
    ) -> None:
        """Make a deployment of this flow and run its runs here, each in a process of its own, until interrupted.

        Args:
            name: of the deployment; default the flow's.
            global_limit: how many of its runs at once, wherever they run.
            pause_on_shutdown: pause the schedules when this ends, and let them go on when it starts again.
            print_starting_message: say how to run the deployment.
            limit: how many runs at once in this process.
            webserver: answer questions after this process's health by HTTP.

        The other arguments are those of `to_deployment`.

        Raises:
            RuntimeError: called in asynchronous code; there, `await prefect.aserve(flow.to_deployment(...))`.
        """
        options = _options(locals(), *_OF_SERVING)
        if in_async_context():
            raise RuntimeError(
                "`flow.serve` blocks, and this is asynchronous code: use `await aserve(await flow.ato_deployment(...))`."
            )
        deployment = runner_deployment.RunnerDeployment.from_flow(
            self,  # type: ignore[arg-type]
            name=name or self.name,
            concurrency_limit=global_limit,
            **options,
        )
        serving.serve_sync(
            [deployment],
            pause_on_shutdown=pause_on_shutdown,
            say=print_starting_message,
            limit=limit,
            webserver=webserver,
        )

    async def adeploy(
        self,
        name: str,
        work_pool_name: str | None = None,
        image: str | DockerImage | None = None,
        build: bool = True,
        push: bool = True,
        work_queue_name: str | None = None,
        job_variables: dict[str, Any] | None = None,
        interval: Intervals = None,
        cron: Texts = None,
        rrule: Texts = None,
        paused: bool | None = None,
        schedule: Schedule | None = None,
        schedules: Any = None,
        concurrency_limit: int | ConcurrencyLimitConfig | None = None,
        triggers: list[Any] | None = None,
        parameters: dict[str, Any] | None = None,
        description: str | None = None,
        tags: list[str] | None = None,
        version: str | None = None,
        version_type: str | None = None,
        enforce_parameter_schema: bool = True,
        entrypoint_type: EntrypointType | None = None,
        print_next_steps: bool = True,
        ignore_warnings: bool = False,
        _sla: Any = None,
    ) -> UUID:
        """`deploy` for asynchronous code."""
        options = _options(locals(), *_OF_DEPLOYING)
        deployment = runner_deployment.RunnerDeployment.from_flow(self, **options)  # type: ignore[arg-type]
        ids = await deploying.deploy(
            [deployment], work_pool_name=work_pool_name, image=image, build=build, push=push,
            say=print_next_steps, ignore_warnings=ignore_warnings,
        )  # fmt: skip
        return ids[0]

    @async_dispatch(adeploy)
    def deploy(
        self,
        name: str,
        work_pool_name: str | None = None,
        image: str | DockerImage | None = None,
        build: bool = True,
        push: bool = True,
        work_queue_name: str | None = None,
        job_variables: dict[str, Any] | None = None,
        interval: Intervals = None,
        cron: Texts = None,
        rrule: Texts = None,
        paused: bool | None = None,
        schedule: Schedule | None = None,
        schedules: Any = None,
        concurrency_limit: int | ConcurrencyLimitConfig | None = None,
        triggers: list[Any] | None = None,
        parameters: dict[str, Any] | None = None,
        description: str | None = None,
        tags: list[str] | None = None,
        version: str | None = None,
        version_type: str | None = None,
        enforce_parameter_schema: bool = True,
        entrypoint_type: EntrypointType | None = None,
        print_next_steps: bool = True,
        ignore_warnings: bool = False,
        _sla: Any = None,
    ) -> UUID:
        """Make a deployment of this flow whose runs are run by the workers of a work pool.

        The code must be where a worker finds it: in an image, or in storage (`flow.from_source`).

        Args:
            name: of the deployment.
            work_pool_name: the pool; default that of the setting `deployments.default_work_pool_name`.
            image: the image to run in: its name, or a `DockerImage` that says how it is built.
            build: build the image; otherwise it is expected to be there.
            push: push the image to its registry once it is built.
            print_next_steps: say how to run the deployment.
            ignore_warnings: do not tell what may be unwise about it.

        The other arguments are those of `to_deployment`.

        Returns:
            The deployment's id.

        Raises:
            ValueError: there is no such work pool, or the code is nowhere where a worker finds it.
            DeploymentApplyError: the deployment cannot be made; the message says what does not fit.
        """
        return run_coro_as_sync(self.adeploy(**_options(locals())))


def kept_with(flow: D, other: Deployable) -> D:
    """Let the code of a flow be where that of another one is kept; returns the flow."""
    flow._storage, flow._entrypoint, flow._code_folder = other._storage, other._entrypoint, other._code_folder
    return flow
