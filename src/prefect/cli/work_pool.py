"""`prefect work-pool`: groups of workers, and what they start."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from prefect._clock import now
from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _output, _runs, work_pool_storage
from prefect.cli._options import Output

if TYPE_CHECKING:
    import rich.text as rich_text

    from prefect import exceptions
    from prefect._schemas.flow_runs import FlowRun
    from prefect._schemas.work_pools import WorkPool
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas import actions, filters, sorting
    from prefect.client.schemas import objects as states
    from prefect.settings import profiles
    from prefect.workers import process
    from prefect.workers import types as _types
else:
    actions = lazy_module("prefect.client.schemas.actions")
    exceptions = lazy_module("prefect.exceptions")
    filters = lazy_module("prefect.client.schemas.filters")
    process = lazy_module("prefect.workers.process")
    profiles = lazy_module("prefect.settings.profiles")
    rich_text = lazy_module("rich.text")
    sorting = lazy_module("prefect.client.schemas.sorting")
    states = lazy_module("prefect.client.schemas.objects")
    _types = lazy_module("prefect.workers.types")

app = App(name="work-pool", help="Groups of workers, and what they start.")
app.command(work_pool_storage.app, name="storage")

Name = Annotated[str, Parameter(help="Name of the work pool.")]
TemplateFile = Annotated[Path | None, Parameter(help="JSON file with the job template.")]


@app.command
def create(
    name: Name,
    *,
    base_job_template: TemplateFile = None,
    paused: Annotated[bool, Parameter(help="Start no runs until it is resumed.")] = False,
    type: Annotated[
        str | None, Parameter(name=["--type", "-t"], help="Type of its workers; process unless given.")
    ] = None,
    set_as_default: Annotated[bool, Parameter(help="Make it the pool of deployments that name none.")] = False,
    provision_infrastructure: Annotated[
        bool, Parameter(name=["--provision-infrastructure", "--provision-infra"], help="Also make what it runs on.")
    ] = False,
    overwrite: Annotated[bool, Parameter(help="Change the pool of this name, if there is one.")] = False,
) -> None:
    """Make a work pool."""
    if not name.strip("'\" "):
        _console.fail("The name of a work pool cannot be empty.")
    if provision_infrastructure:
        _no_provisioner(type)
    with _api.client() as api:
        kind = type or _kind_to_make(api, name, overwrite)
        template = _read_template(base_job_template) or _installed_template(kind) or _published_template(api, kind)
        fields = {"name": name, "type": kind, "base_job_template": template, "is_paused": paused}
        wanted = _api.made(actions.WorkPoolCreate, fields)
        try:
            pool = api.create_work_pool(wanted, overwrite=overwrite)
        except exceptions.ObjectAlreadyExists:
            _console.fail(f"There is a work pool {name!r} already; choose another name, or change it with --overwrite.")
    print(f"Created work pool {pool.name!r} of type {pool.type!r}.")
    if set_as_default:
        profiles.update_current_profile({"PREFECT_DEFAULT_WORK_POOL_NAME": pool.name})
        print(f"Deployments that name no work pool go to {pool.name!r} from now on.")
    if not pool.is_push_pool and not pool.is_managed_pool:
        print(f"To carry out its runs: prefect worker start --pool {pool.name!r}")


def _kind_to_make(api: SyncPrefectClient, name: str, overwrite: bool) -> str:
    if overwrite:
        try:
            return api.read_work_pool(name).type
        except exceptions.ObjectNotFound:
            pass
    return process.ProcessWorker.type


def _no_provisioner(kind: str | None) -> None:
    _console.fail(
        f"Infrastructure for work pools of type {kind or 'process'!r} cannot be made from here: make it with the tools of "
        "its provider, and describe it in the job template (--base-job-template)."
    )


def _read_template(file: Path | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        return _output.json_object(file.read_text(encoding="utf-8"), f"The file {file}")
    except OSError as problem:
        _console.fail(f"The job template cannot be read: {problem}")


def _installed_template(kind: str) -> dict[str, Any] | None:
    if kind == process.ProcessWorker.type:
        return process.ProcessWorker.get_default_base_job_template()
    cls = _types.find(kind)
    return None if cls is None else cls.get_default_base_job_template()


def _published_template(api: SyncPrefectClient, kind: str) -> dict[str, Any]:
    """The template for workers whose package is not installed here, as the API knows it."""
    published = {type: entry for types in api.read_worker_metadata().values() for type, entry in types.items()}
    if kind not in published:
        known = ", ".join(sorted({process.ProcessWorker.type, *_types.names(), *published}))
        _console.fail(
            f"There are no workers of type {kind!r} here, so there is no job template for them. Install their package, or "
            f"give a template with --base-job-template. Types are: {known}."
        )
    return published[kind]["default_base_job_configuration"]


@app.command
def ls(
    *,
    verbose: Annotated[bool, Parameter(name=["--verbose", "-v"], help="Show the job templates, too.")] = False,
    output: Output = None,
) -> None:
    """List work pools, by name."""
    with _api.client() as api:
        found = list(_api.everything(lambda size, offset: api.read_work_pools(limit=size, offset=offset)))
    found.sort(key=lambda pool: pool.name)
    if output == "json":
        _output.print_json(found)
        return
    if not found:
        print("No work pools found; `prefect work-pool create` makes one.")
        return
    rows = [
        (
            rich_text.Text(pool.name, style="yellow" if pool.is_paused else ""),
            pool.type,
            str(pool.id),
            _limit(pool.concurrency_limit),
            _status(pool),
            *((_output.compact_json(pool.base_job_template),) if verbose else ()),
        )
        for pool in found
    ]
    columns = ("Name", "Type", "ID", "Limit", "Status", *(("Job template",) if verbose else ()))
    _output.print_table(columns, rows, cut=["Name", *columns[5:]], spare=["Limit", "Status"])


def _limit(limit: int | None) -> str:
    return "-" if limit is None else str(limit)


def _status(pool: WorkPool) -> str:
    if pool.is_paused:
        return "paused"
    return "" if pool.status is None else pool.status.value.lower().replace("_", " ")


def _find(api: SyncPrefectClient, name: str) -> WorkPool:
    try:
        return api.read_work_pool(name)
    except exceptions.ObjectNotFound:
        _api.not_found("work pool", name, (pool.name for pool in api.read_work_pools()))


@app.command
def inspect(name: Name, *, output: Output = None) -> None:
    """Show a work pool, its queues and its workers."""
    with _api.client() as api:
        pool = _find(api, name)
        if output == "json":
            _output.print_json(pool)
            return
        queues = api.read_work_queues(pool.name)
        workers = api.read_workers_for_work_pool(pool.name)
    _output.print_fields(
        {
            "Work pool": rich_text.Text(pool.name, style="bold"),
            "ID": pool.id,
            "Type": pool.type,
            "Status": _status(pool),
            "Description": pool.description,
            "Limit": _limit(pool.concurrency_limit),
            "Slots in use": pool.active_slots,
            "Queues": "\n".join(f"{queue.name} (priority {queue.priority})" for queue in queues),
            "Workers": "\n".join(f"{worker.name} ({worker.status.value.lower()})" for worker in workers),
            "Job template": pool.base_job_template,
            "Created": pool.created,
            "Changed": pool.updated,
        }
    )


@app.command
def pause(name: Name) -> None:
    """Let the workers of a pool start no runs until it is resumed."""
    _change(name, is_paused=True)
    print(f"Work pool {name!r} is paused.")


@app.command
def resume(name: Name) -> None:
    """Let the workers of a pool start runs again."""
    _change(name, is_paused=False)
    print(f"Work pool {name!r} goes on.")


@app.command
def update(
    name: Name,
    *,
    base_job_template: TemplateFile = None,
    concurrency_limit: Annotated[int | None, Parameter(help="At most so many runs at a time.")] = None,
    description: Annotated[str | None, Parameter(help="For people.")] = None,
) -> None:
    """Change a work pool; what is not given stays."""
    given = {
        "base_job_template": _read_template(base_job_template),
        "concurrency_limit": concurrency_limit,
        "description": description,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    if not changes:
        _console.usage("Say what is to change: --base-job-template, --concurrency-limit or --description.")
    _change(name, **changes)
    print(f"Updated work pool {name!r}.")


def _change(name: str, **changes: Any) -> None:
    with _api.client() as api:
        _find(api, name)
        api.update_work_pool(name, _api.made(actions.WorkPoolUpdate, changes))


@app.command
def delete(name: Name) -> None:
    """Delete a work pool, with its queues."""
    with _api.client() as api:
        _find(api, name)
        _console.agree(f"Delete work pool {name!r} with its queues?", not _console.can_ask())
        api.delete_work_pool(name)
    print(f"Deleted work pool {name!r}.")


@app.command
def set_concurrency_limit(
    name: Name, concurrency_limit: Annotated[int, Parameter(help="At most so many runs at a time; 0 for none.")]
) -> None:
    """Let a pool have at most so many runs at a time."""
    _change(name, concurrency_limit=concurrency_limit)
    print(f"Work pool {name!r} has at most {concurrency_limit} runs at a time.")


@app.command
def clear_concurrency_limit(name: Name) -> None:
    """Let a pool have any number of runs at a time."""
    _change(name, concurrency_limit=None)
    print(f"Work pool {name!r} has no limit.")


@app.command
def slots(name: Name, *, output: Output = None) -> None:
    """Show which runs hold the slots of a pool, by queue."""
    with _api.client() as api:
        _find(api, name)
        status = api.read_work_pool_concurrency_status(name)
    if output == "json":
        _output.print_json(status)
        return
    print(f"{name}: {status.active_slots} of {_limit(status.concurrency_limit)} slots in use")
    rows = [
        (queue.queue_name, str(run.id), run.name, _runs.state_text(run.state_type, run.state_name))
        for queue in status.queues
        for run in queue.flow_runs
    ]
    if rows:
        _output.print_table(("Queue", "Flow run", "Name", "State"), rows, cut=["Queue", "Name"])


@app.command
def preview(
    name: Annotated[str | None, Parameter(help="Name of the work pool.")] = None,
    *,
    hours: Annotated[int, Parameter(name=["--hours", "-h"], help="Look so many hours ahead.")] = 1,
    output: Output = None,
) -> None:
    """List the runs of a pool that are due soon."""
    if name is None:
        _console.usage("Say which work pool: prefect work-pool preview NAME.")
    with _api.client() as api:
        pool = _find(api, name)
        runs = upcoming(
            api, hours, work_pool_filter=filters.WorkPoolFilter(id=filters.WorkPoolFilterId(any_=[pool.id]))
        )
    print_upcoming(runs, hours, output)


def upcoming(api: SyncPrefectClient, hours: int, **of: Any) -> list[FlowRun]:
    """The runs that are due within some hours, the earliest first, whether there will be room for them or not.

    Args:
        of: filters for whose runs, as `read_flow_runs` has them.
    """
    due = filters.FlowRunFilterNextScheduledStartTime(before_=now() + timedelta(hours=hours))
    scheduled = filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[states.StateType.SCHEDULED]))
    return api.read_flow_runs(
        flow_run_filter=filters.FlowRunFilter(state=scheduled, next_scheduled_start_time=due),
        sort=sorting.FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC,
        **of,
    )


def print_upcoming(found: list[FlowRun], hours: int, output: str | None) -> None:
    """Print runs that are due, in the order given."""
    if output == "json":
        _output.print_json(found)
    elif not found:
        print(f"No runs are due within {hours} hour{'' if hours == 1 else 's'}.")
    else:
        rows = [
            (_output.time_text(run.next_scheduled_start_time), str(run.id), run.name, str(run.deployment_id))
            for run in found
        ]
        _output.print_table(("Due", "Flow run", "Name", "Deployment"), rows, cut=["Name"], spare=["Deployment"])


@app.command
def get_default_base_job_template(
    *,
    type: Annotated[str | None, Parameter(name=["--type", "-t"], help="Type of the workers.")] = None,
    file: Annotated[Path | None, Parameter(name=["--file", "-f"], help="Write it to this file.")] = None,
) -> None:
    """Show the job template that a pool of a type has unless it is given another."""
    kind = type or process.ProcessWorker.type
    template = _installed_template(kind)
    if template is None:
        with _api.client() as api:
            template = _published_template(api, kind)
    text = json.dumps(template, indent=2)
    if file is None:
        print(text)
        return
    file.write_text(text + "\n", encoding="utf-8")
    print(f"Wrote the job template to {file}.")


@app.command(name=["provision-infrastructure", "provision-infra"])
def provision_infrastructure(name: Name) -> None:
    """Make what a pool runs on, where that can be done from here."""
    with _api.client() as api:
        _no_provisioner(_find(api, name).type)
