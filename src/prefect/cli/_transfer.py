"""Copying what an API keeps, runs aside, to another API.

Things are compared by what people call them (a slug, a name, `flow/deployment`): what the target has stays as it is, so
a transfer that broke off is taken up by doing it again. Ids are others in the target; wherever a copied thing names
another one by its id, it gets the id that thing has there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from prefect._lazy import lazy_module
from prefect.cli import _api, _console

if TYPE_CHECKING:
    import httpx
    import orjson
    import pydantic

    from prefect import exceptions
    from prefect._schemas.actions import blocks, concurrency, deployments, records, work_pools
    from prefect._transport import errors as transport_errors
    from prefect.client.orchestration import SyncPrefectClient
else:
    httpx = lazy_module("httpx")
    orjson = lazy_module("orjson")
    exceptions = lazy_module("prefect.exceptions")
    blocks = lazy_module("prefect._schemas.actions.blocks")
    concurrency = lazy_module("prefect._schemas.actions.concurrency")
    deployments = lazy_module("prefect._schemas.actions.deployments")
    records = lazy_module("prefect._schemas.actions.records")
    work_pools = lazy_module("prefect._schemas.actions.work_pools")
    transport_errors = lazy_module("prefect._transport.errors")

Thing = dict[str, Any]
Opened = Callable[[], "AbstractContextManager[SyncPrefectClient]"]

_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_AUTOMATION_FIELDS = (
    "name", "description", "enabled", "trigger", "actions", "actions_on_trigger", "actions_on_resolve", "tags",
    "owner_resource",
)  # fmt: skip


@dataclass
class Tally:
    """How the things of one kind fared.

    Attributes:
        kind: in words.
        copied: their names.
        there: those that the target had already.
        failed: name and reason.
        unknown: one of the two APIs knows no such kind.
    """

    kind: str
    copied: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unknown: bool = False


class Transfer:
    """One transfer.

    Args:
        source, target: open a client of each.
        only: the kinds to transfer; all unless given.
        pause: whether copied deployments are paused, so that not both servers run them.
        dry_run: only compare.
    """

    def __init__(self, source: Opened, target: Opened, *, only: set[str], pause: bool, dry_run: bool) -> None:
        self._source = source
        self._target = target
        self._only = only
        self._pause = pause
        self._dry_run = dry_run
        self._ids: dict[str, str] = {}
        self._flow_names: dict[str, dict[str, str]] = {}

    def run(self) -> Iterator[Tally]:
        """Transfer kind after kind, each when those that it refers to are there."""
        for kind in KINDS:
            yield self._transfer(kind, wanted=not self._only or kind.name in self._only)

    def _transfer(self, kind: Kind, *, wanted: bool) -> Tally:
        tally = Tally(kind.name)
        try:
            with self._source() as api:
                here = self._named(kind, api, "source")
            with self._target() as api:
                there = self._named(kind, api, "target")
        except (transport_errors.OperationUnavailable, exceptions.ObjectNotFound):
            tally.unknown = True
            return tally
        missing = {name: thing for name, thing in here.items() if name not in there}
        for name in here.keys() & there.keys():
            self._ids[str(here[name]["id"])] = str(there[name]["id"])
        if not wanted:
            return tally
        tally.there = sorted(here.keys() & there.keys())
        if self._dry_run:
            tally.copied = list(missing)
        elif missing:
            with self._target() as api:
                self._copy(kind, api, missing, tally)
        return tally

    def _named(self, kind: Kind, api: SyncPrefectClient, side: str) -> dict[str, Thing]:
        things = kind.read(api)
        if kind.name == "flows":
            self._flow_names[side] = {thing["id"]: thing["name"] for thing in things}
        names = self._flow_names.get(side, {})
        return {kind.key(thing, names): thing for thing in things}

    def _copy(self, kind: Kind, api: SyncPrefectClient, missing: dict[str, Thing], tally: Tally) -> None:
        """Copy things; what refers to others of its kind is tried again when those are there."""
        left = dict(missing)
        while left:
            failed: dict[str, str] = {}
            for name, thing in left.items():
                try:
                    body = kind.body(self._with_new_ids(thing))
                    if kind.name == "deployments" and self._pause:
                        body["paused"] = True
                    made = api.request("POST", kind.create_route(thing), json=body).json()
                except (httpx.HTTPStatusError, exceptions.PrefectException) as problem:
                    failed[name] = _console.explain(problem)
                else:
                    self._ids[str(thing["id"])] = str(made["id"])
                    tally.copied.append(name)
            if len(failed) == len(left):
                tally.failed = failed
                return
            left = {name: left[name] for name in failed}

    def _with_new_ids(self, thing: Thing) -> Thing:
        """A thing with the ids that others have in the target."""
        text = orjson.dumps(thing).decode()
        return orjson.loads(_ID.sub(lambda match: self._ids.get(match[0], match[0]), text))


@dataclass(frozen=True)
class Kind:
    """A kind of thing, and how it is read, named and made.

    Attributes:
        name: in words.
        read: all there are, as JSON.
        key: what people call one; also given the names of flows by id.
        body: the request that makes one.
        create_route: where that is sent.
    """

    name: str
    read: Callable[[SyncPrefectClient], list[Thing]]
    key: Callable[[Thing, dict[str, str]], str]
    body: Callable[[Thing], Thing]
    create_route: Callable[[Thing], str]


def _paged(route: str, **conditions: Any) -> Callable[[SyncPrefectClient], list[Thing]]:
    def read(api: SyncPrefectClient) -> list[Thing]:
        def page(limit: int, offset: int) -> list[Thing]:
            return api.request("POST", route, json={**conditions, "limit": limit, "offset": offset}).json()

        return list(_api.everything(page))

    return read


def _fields_of(model: Callable[[], type[pydantic.BaseModel]]) -> Callable[[Thing], Thing]:
    """The fields of a thing that the request to make it has, without those that have no value."""

    def body(thing: Thing) -> Thing:
        names = model().model_fields
        return {name: value for name, value in thing.items() if name in names and value is not None}

    return body


def _named(thing: Thing, _: dict[str, str]) -> str:
    return thing["name"]


def _global_limits(api: SyncPrefectClient) -> list[Thing]:
    """Those that people made: a deployment's own limit comes with the deployment."""
    found = _paged("/v2/concurrency_limits/filter")(api)
    return [thing for thing in found if not thing["name"].startswith("deployment:")]


def _global_limit_body(thing: Thing) -> Thing:
    body = _fields_of(lambda: concurrency.GlobalConcurrencyLimitCreate)(thing)
    return {**body, "active_slots": 0}  # nobody holds a slot there


def _block_body(thing: Thing) -> Thing:
    """A block whose inner blocks are named by their ids."""
    data = dict(thing["data"])
    for name, reference in (thing.get("block_document_references") or {}).items():
        inner = reference.get("block_document", {})
        if isinstance(data.get(name), dict) and inner.get("id"):
            data[name] = {"$ref": {"block_document_id": inner["id"]}}
    return {**_fields_of(lambda: blocks.BlockDocumentCreate)(thing), "data": data}


def _block_key(thing: Thing, _: dict[str, str]) -> str:
    return f"{thing['block_type']['slug']}/{thing['name']}"


def _queues(api: SyncPrefectClient) -> list[Thing]:
    return [
        {**queue, "work_pool_name": pool["name"]}
        for pool in _paged("/work_pools/filter")(api)
        for queue in _paged(f"/work_pools/{quote(pool['name'], safe='')}/queues/filter")(api)
    ]


def _deployment_body(thing: Thing) -> Thing:
    """A deployment as it is asked for: its schedules without ids, its limit as a number."""
    body = _fields_of(lambda: deployments.DeploymentCreate)(thing)
    schedule_fields = deployments.DeploymentScheduleCreate.model_fields
    body["schedules"] = [
        {name: value for name, value in schedule.items() if name in schedule_fields and value is not None}
        for schedule in thing.get("schedules", ())
    ]
    body["labels"] = {name: value for name, value in (thing.get("labels") or {}).items() if "prefect." not in name}
    if limit := thing.get("global_concurrency_limit"):
        body["concurrency_limit"] = limit["limit"]
    return body


def _flow_body(thing: Thing) -> Thing:
    return {"name": thing["name"], "tags": thing.get("tags") or []}


def _to(route: str) -> Callable[[Thing], str]:
    return lambda thing: route


KINDS = (
    Kind(
        "block types", _paged("/block_types/filter"), lambda thing, _: thing["slug"],
        _fields_of(lambda: blocks.BlockTypeCreate), _to("/block_types/"),
    ),
    Kind(
        "block schemas", _paged("/block_schemas/filter"), lambda thing, _: f"{thing['checksum']} {thing['version']}",
        _fields_of(lambda: blocks.BlockSchemaCreate), _to("/block_schemas/"),
    ),
    Kind(
        "blocks", _paged("/block_documents/filter", include_secrets=True), _block_key, _block_body,
        _to("/block_documents/"),
    ),
    Kind(
        "variables", _paged("/variables/filter"), _named, _fields_of(lambda: records.VariableCreate),
        _to("/variables/"),
    ),
    Kind(
        "concurrency limits", _paged("/concurrency_limits/filter"), lambda thing, _: thing["tag"],
        _fields_of(lambda: concurrency.ConcurrencyLimitCreate), _to("/concurrency_limits/"),
    ),
    Kind(
        "global concurrency limits", _global_limits, _named, _global_limit_body, _to("/v2/concurrency_limits/"),
    ),
    Kind(
        "work pools", _paged("/work_pools/filter"), _named, _fields_of(lambda: work_pools.WorkPoolCreate),
        _to("/work_pools/"),
    ),
    Kind(
        "work queues", _queues, lambda thing, _: f"{thing['work_pool_name']}/{thing['name']}",
        _fields_of(lambda: work_pools.WorkQueueCreate),
        lambda thing: f"/work_pools/{quote(thing['work_pool_name'], safe='')}/queues",
    ),
    Kind("flows", _paged("/flows/filter"), _named, _flow_body, _to("/flows/")),
    Kind(
        "deployments", _paged("/deployments/filter"),
        lambda thing, flows: f"{flows.get(thing['flow_id'], '?')}/{thing['name']}",
        _deployment_body, _to("/deployments/"),
    ),
    Kind(
        "automations", _paged("/automations/filter"), _named,
        lambda thing: {name: thing[name] for name in _AUTOMATION_FIELDS if thing.get(name) is not None},
        _to("/automations/"),
    ),
)  # fmt: skip
