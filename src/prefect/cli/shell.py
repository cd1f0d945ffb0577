"""`prefect shell`: run commands of the shell as flows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _console

if TYPE_CHECKING:
    import asyncio

    from prefect import context, schedules
    from prefect.cli import _shell_flow
    from prefect.client import orchestration
    from prefect.deployments import runner as deployments
    from prefect.runner import runner as runners
else:
    _shell_flow = lazy_module("prefect.cli._shell_flow")
    asyncio = lazy_module("asyncio")
    context = lazy_module("prefect.context")
    deployments = lazy_module("prefect.deployments.runner")
    orchestration = lazy_module("prefect.client.orchestration")
    runners = lazy_module("prefect.runner.runner")
    schedules = lazy_module("prefect.schedules")

app = App(name="shell", help="Run commands of the shell as flows.")

_ENTRYPOINT = "prefect.cli._shell_flow:run_shell_process"

Command = Annotated[str, Parameter(help="The command line, quoted as one argument.", allow_leading_hyphen=True)]
Tags = Annotated[list[str] | None, Parameter(name="--tag", help="Give it a tag. May be repeated.", negative=())]
LogOutput = Annotated[bool, Parameter(help="Keep what the command writes as log lines.")]
Stream = Annotated[bool, Parameter(help="Show what the command writes, where it is not kept.")]


@app.command
def watch(
    command: Command,
    *,
    log_output: LogOutput = True,
    flow_run_name: Annotated[str | None, Parameter(help="Name of the run.")] = None,
    flow_name: Annotated[str, Parameter(help="Name of the flow.")] = "Shell Command",
    stream_stdout: Stream = True,
    tag: Tags = None,
) -> None:
    """Run a command here and now, as a flow run; the exit status is 1 if it fails."""
    flow = _shell_flow.run_shell_process.with_options(name=flow_name, flow_run_name=flow_run_name)
    with context.tags(*(tag or ())):
        state: Any = flow(command, log_output=log_output, stream_stdout=stream_stdout, return_state=True)
    if not state.is_completed():
        _console.fail(state.message or f"The command ended as {state.name}.")


@app.command
def serve(
    command: Command,
    *,
    flow_name: Annotated[str, Parameter(help="Name of the flow.")],
    deployment_name: Annotated[str, Parameter(help="Name of the deployment.")] = "CLI Runner Deployment",
    tag: Tags = None,
    log_output: LogOutput = True,
    stream_stdout: Stream = True,
    cron_schedule: Annotated[str | None, Parameter(help="Run it by this cron expression.")] = None,
    timezone: Annotated[str | None, Parameter(help="Time zone of the schedule, such as Europe/Berlin.")] = None,
    concurrency_limit: Annotated[int | None, Parameter(help="At most so many runs at a time.")] = None,
    run_once: Annotated[bool, Parameter(help="Run it once, now, and return.")] = False,
) -> None:
    """Make a deployment of a command, and carry out its runs here until stopped."""
    try:
        schedule = schedules.Cron(cron_schedule, timezone=timezone) if cron_schedule else None
        deployment = deployments.RunnerDeployment.from_entrypoint(
            entrypoint=_ENTRYPOINT,
            name=deployment_name,
            flow_name=flow_name,
            schedules=[schedule] if schedule is not None else None,
            tags=["shell", *(tag or ())],
            concurrency_limit=concurrency_limit,
            parameters={"command": command, "log_output": log_output, "stream_stdout": stream_stdout},
        )
    except ValueError as problem:
        _console.fail(str(problem))
    print(f"Your flow {flow_name!r} is being served with deployment '{flow_name}/{deployment_name}'.", flush=True)
    asyncio.run(_serve(deployment, flow_name, concurrency_limit, run_once))


async def _serve(deployment: Any, name: str, limit: int | None, run_once: bool) -> None:
    options: dict[str, Any] = {} if limit is None else {"limit": limit}
    runner = runners.Runner(name=name, **options)
    id = await runner.aadd_deployment(deployment)
    if run_once:
        async with orchestration.get_client() as client:
            await client.create_flow_run_from_deployment(id)
    await runner.start(run_once=run_once)
