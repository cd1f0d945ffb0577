"""`prefect work-queue`: the queues of work pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _output, _runs, work_pool
from prefect.cli._options import Output

if TYPE_CHECKING:
    import rich.text as rich_text

    from prefect import exceptions
    from prefect._schemas.work_pools import WorkQueue
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas import filters
else:
    exceptions = lazy_module("prefect.exceptions")
    filters = lazy_module("prefect.client.schemas.filters")
    rich_text = lazy_module("rich.text")

app = App(name="work-queue", help="The queues of work pools.")

Name = Annotated[str, Parameter(help="Name or id of the queue.")]
Pool = Annotated[str | None, Parameter(name=["--pool", "-p"], help="The work pool that it belongs to.")]
_MOST = 200


@app.command
def create(
    name: Annotated[str, Parameter(help="Name of the queue.")],
    *,
    limit: Annotated[int | None, Parameter(name=["--limit", "-l"], help="At most so many runs at a time.")] = None,
    pool: Pool = None,
    priority: Annotated[
        int | None, Parameter(name=["--priority", "-q"], help="The lower the sooner; after all others unless given.")
    ] = None,
) -> None:
    """Make a queue."""
    with _api.client() as api:
        try:
            queue = api.create_work_queue(name=name, work_pool_name=pool, priority=priority, concurrency_limit=limit)
        except exceptions.ObjectAlreadyExists:
            _console.fail(f"There is a work queue {name!r} already; choose another name.")
        except exceptions.ObjectNotFound:
            _api.not_found("work pool", pool or "", (one.name for one in api.read_work_pools()))
    print(f"Created work queue {queue.name!r} (priority {queue.priority}){f' in work pool {pool!r}' if pool else ''}.")
    if pool:
        print(f"To carry out its runs: prefect worker start --pool {pool!r} --work-queue {queue.name!r}")


def _find(api: SyncPrefectClient, name: str, pool: str | None) -> WorkQueue:
    id = _output.as_uuid(name)
    if id is not None:
        try:
            return api.read_work_queue(id)
        except exceptions.ObjectNotFound:
            _console.fail(f"Work queue {name!r} not found.")
    try:
        every = list(_api.everything(lambda size, offset: api.read_work_queues(pool, limit=size, offset=offset)))
    except exceptions.ObjectNotFound:
        _api.not_found("work pool", pool or "", (one.name for one in api.read_work_pools()))
    named = [queue for queue in every if queue.name == name]
    if len(named) > 1:
        pools = ", ".join(sorted(str(queue.work_pool_name) for queue in named))
        _console.fail(f"Several work pools have a queue {name!r}: {pools}. Say which with --pool.")
    return named[0] if named else _api.not_found("work queue", name, (queue.name for queue in every))


@app.command
def ls(
    *,
    verbose: Annotated[
        bool, Parameter(name=["--verbose", "-v"], help="Show descriptions and creation times, too.")
    ] = False,
    match: Annotated[str | None, Parameter(name=["--match", "-m"], help="Only those whose name begins so.")] = None,
    pool: Pool = None,
    output: Output = None,
) -> None:
    """List queues, by pool and priority."""
    with _api.client() as api:
        if match is not None:
            found = api.match_work_queues([match], pool)
        else:
            read = api.read_work_queues
            found = list(_api.everything(lambda size, offset: read(pool, limit=size, offset=offset)))
    found.sort(key=lambda queue: (queue.work_pool_name or "", queue.priority, queue.name))
    if output == "json":
        _output.print_json(found)
        return
    if not found:
        print("No work queues found.")
        return
    rows: list[Any] = [
        (
            rich_text.Text(queue.name, style="yellow" if queue.is_paused else ""),
            queue.work_pool_name or "",
            str(queue.priority),
            "-" if queue.concurrency_limit is None else str(queue.concurrency_limit),
            _status(queue),
            str(queue.id),
            *((queue.description or "", _output.ago_text(queue.created)) if verbose else ()),
        )
        for queue in found
    ]
    columns = ("Name", "Pool", "Priority", "Limit", "Status", "ID", *(("Description", "Created") if verbose else ()))
    _output.print_table(columns, rows, cut=["Name", "Pool"], spare=["Limit", "Status"])


def _status(queue: WorkQueue) -> str:
    if queue.is_paused:
        return "paused"
    return "" if queue.status is None else queue.status.value.lower().replace("_", " ")


@app.command
def inspect(name: Name, *, pool: Pool = None, output: Output = None) -> None:
    """Show a queue, and how it does."""
    with _api.client() as api:
        queue = _find(api, name, pool)
        if output == "json":
            _output.print_json(queue)
            return
        status = api.read_work_queue_status(queue.id)
    _output.print_fields(
        {
            "Work queue": rich_text.Text(queue.name, style="bold"),
            "ID": queue.id,
            "Work pool": queue.work_pool_name,
            "Status": _status(queue),
            "Healthy": status.healthy,
            "Late runs": status.late_runs_count,
            "Asked for runs": _output.ago_text(status.last_polled),
            "Priority": queue.priority,
            "Limit": queue.concurrency_limit,
            "Description": queue.description,
            "Created": queue.created,
            "Changed": queue.updated,
        }
    )


@app.command
def pause(name: Name, *, pool: Pool = None) -> None:
    """Let the runs of a queue wait until it is resumed."""
    queue = _change(name, pool, is_paused=True)
    print(f"Work queue {queue.name!r} is paused.")


@app.command
def resume(name: Name, *, pool: Pool = None) -> None:
    """Let the runs of a queue start again."""
    queue = _change(name, pool, is_paused=False)
    print(f"Work queue {queue.name!r} goes on.")


@app.command
def set_concurrency_limit(
    name: Name,
    limit: Annotated[int, Parameter(help="At most so many runs at a time; 0 for none.")],
    *,
    pool: Pool = None,
) -> None:
    """Let a queue have at most so many runs at a time."""
    queue = _change(name, pool, concurrency_limit=limit)
    print(f"Work queue {queue.name!r} has at most {limit} runs at a time.")


@app.command
def clear_concurrency_limit(name: Name, *, pool: Pool = None) -> None:
    """Let a queue have any number of runs at a time."""
    queue = _change(name, pool, concurrency_limit=None)
    print(f"Work queue {queue.name!r} has no limit.")


def _change(name: str, pool: str | None, **changes: Any) -> WorkQueue:
    with _api.client() as api:
        queue = _find(api, name, pool)
        api.update_work_queue(queue.id, **changes)
    return queue


@app.command
def delete(name: Name, *, pool: Pool = None) -> None:
    """Delete a queue."""
    with _api.client() as api:
        queue = _find(api, name, pool)
        _console.agree(f"Delete work queue {queue.name!r}?", not _console.can_ask())
        api.delete_work_queue_by_id(queue.id)
    print(f"Deleted work queue {queue.name!r}.")


@app.command
def slots(name: Name, *, pool: Pool = None, output: Output = None) -> None:
    """Show which runs hold the slots of a queue."""
    with _api.client() as api:
        queue = _find(api, name, pool)
        status = api.read_work_queue_concurrency_status(queue.id)
    if output == "json":
        _output.print_json(status)
        return
    limit = "-" if status.concurrency_limit is None else str(status.concurrency_limit)
    print(f"{queue.name}: {status.active_slots} of {limit} slots in use")
    rows = [(str(run.id), run.name, _runs.state_text(run.state_type, run.state_name)) for run in status.flow_runs]
    if rows:
        _output.print_table(("Flow run", "Name", "State"), rows, cut=["Name"])


@app.command
def preview(
    name: Name,
    *,
    hours: Annotated[
        int | None, Parameter(name=["--hours", "-h"], help="Look so many hours ahead; 1 unless given.")
    ] = None,
    pool: Pool = None,
    output: Output = None,
) -> None:
    """List the runs of a queue that are due soon."""
    ahead = 1 if hours is None else hours
    with _api.client() as api:
        queue = _find(api, name, pool)
        of = filters.WorkQueueFilter(id=filters.WorkQueueFilterId(any_=[queue.id]))
        runs = work_pool.upcoming(api, ahead, work_queue_filter=of)
    work_pool.print_upcoming(runs, ahead, output)


@app.command
def read_runs(name: Name, *, pool: Pool = None) -> None:
    """List the runs of a queue that are due now, as a worker would be given them."""
    with _api.client() as api:
        queue = _find(api, name, pool)
        runs = api.get_runs_in_work_queue(queue.id, limit=_MOST)
    if not runs:
        print(f"Work queue {queue.name!r} has no runs that are due.")
        return
    rows = [
        (
            str(run.id),
            run.name,
            _runs.state_text(run.state_type, run.state_name),
            _output.time_text(run.expected_start_time),
        )
        for run in runs
    ]
    _output.print_table(("Flow run", "Name", "State", "Due"), rows, cut=["Name"])
