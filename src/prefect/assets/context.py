"""Which assets the current task reads and makes, and the events that tell of it.

A task makes the assets in `@materialize`, and reads those in `asset_deps` and those that the runs made from which its
arguments come. A task that makes none passes on those it reads.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self
from uuid import UUID

from pydantic import Field

from prefect._engine import task_run
from prefect._engine.contexts import ContextModel
from prefect._engine.frames import FlowFrame, TaskFrame, current_flow, current_task
from prefect._rules.states import COMPLETED, FAILED
from prefect.assets.core import Asset
from prefect.events import emit_event
from prefect.exceptions import ConfigurationError
from prefect.logging.loggers import get_logger

if TYPE_CHECKING:
    from prefect._schemas.states import State
    from prefect.tasks import Task


class AssetContext(ContextModel):
    """Which assets a task run reads and makes.

    Attributes:
        direct_asset_dependencies: those that the task says it reads.
        downstream_assets: those that it makes.
        upstream_assets: those that it reads.
        materialized_by: which tool makes them.
        task_run_id: of the task run.
        materialization_metadata: what was said of the assets it makes, by key.
        copy_to_child_ctx: whether the next task run in this context deals with the same assets.
    """

    __var__: ClassVar[ContextVar[Any]] = ContextVar("prefect_assets")

    direct_asset_dependencies: set[Asset] = Field(default_factory=set)
    downstream_assets: set[Asset] = Field(default_factory=set)
    upstream_assets: set[Asset] = Field(default_factory=set)
    materialized_by: str | None = None
    task_run_id: UUID | None = None
    materialization_metadata: dict[str, dict[str, Any]] = Field(default_factory=dict)
    copy_to_child_ctx: bool = False

    @classmethod
    def get(cls) -> Self | None:
        """The context of the current task run; else one that was entered; else None."""
        frame = current_task.get()
        of_run: Any = None if frame is None else _contexts.get(frame)
        return of_run if of_run is not None else cls.__var__.get(None)

    @classmethod
    def from_task_and_inputs(
        cls,
        task: Task[..., Any],
        task_run_id: UUID,
        task_inputs: dict[str, Any] | None = None,
        copy_to_child_ctx: bool = False,
    ) -> Self:
        """The context of a task run.

        Args:
            task: the task.
            task_run_id: of the run.
            task_inputs: the runs that its arguments come from, by parameter.
            copy_to_child_ctx: whether the next task run in this context deals with the same assets.
        """
        return cls._of(task, task_run_id, _known(_run_ids(task_inputs)), copy_to_child_ctx)

    @classmethod
    def _of(
        cls, task: Task[..., Any], task_run_id: UUID, known: dict[str, set[Asset]], copy_to_child_ctx: bool = False
    ) -> Self:
        direct = set(task.asset_deps)
        upstream = {asset for assets in known.values() for asset in assets}
        return cls(
            direct_asset_dependencies=direct,
            downstream_assets=set(getattr(task, "assets", ())),
            upstream_assets=upstream | direct,
            materialized_by=getattr(task, "materialized_by", None),
            task_run_id=task_run_id,
            copy_to_child_ctx=copy_to_child_ctx,
        )

    def add_asset_metadata(self, asset_key: str, metadata: dict[str, Any]) -> None:
        """Say more of an asset that the task makes.

        Raises:
            ValueError: it does not make this asset.
        """
        if asset_key not in {asset.key for asset in self.downstream_assets}:
            raise ValueError(
                f"Can only add metadata to assets that are arguments to @materialize; {asset_key!r} is none of them."
            )
        self.materialization_metadata.setdefault(asset_key, {}).update(metadata)

    @staticmethod
    def asset_as_resource(asset: Asset) -> dict[str, str]:
        """An asset as the resource of an event."""
        labels = {"prefect.resource.id": asset.key}
        said = asset.properties
        if said is not None:
            named = {"resource.name": said.name, "asset.description": said.description, "asset.url": said.url}
            labels |= {f"prefect.{label}": text for label, text in named.items() if text}
            if said.owners:
                labels["prefect.asset.owners"] = json.dumps(said.owners)
        return labels

    @staticmethod
    def asset_as_related(asset: Asset) -> dict[str, str]:
        """An asset as something that an event is related to."""
        return {"prefect.resource.id": asset.key, "prefect.resource.role": "asset"}

    @staticmethod
    def related_materialized_by(by: str) -> dict[str, str]:
        """The tool that made an asset as something that an event is related to."""
        return {"prefect.resource.id": by, "prefect.resource.role": "asset-materialized-by"}

    def emit_events(self, state: State[Any]) -> None:
        """Tell what was read and made by the run that ended in a state; nothing, when it made nothing anew."""
        self._emit(state.type.value, state.name or "")

    def _emit(self, type: str, name: str) -> None:
        if name == "Cached" or type not in _OUTCOMES or not self.downstream_assets:
            return
        upstream = sorted(self.upstream_assets, key=_key)
        for asset in upstream:
            emit_event("prefect.asset.referenced", self.asset_as_resource(asset))
        related = [self.asset_as_related(asset) for asset in upstream]
        if self.materialized_by:
            related.append(self.related_materialized_by(self.materialized_by))
        for asset in sorted(self.downstream_assets, key=_key):
            emit_event(
                f"prefect.asset.materialization.{_OUTCOMES[type]}",
                self.asset_as_resource(asset),
                related=related,
                payload=self.materialization_metadata.get(asset.key),
            )

    def update_tracked_assets(self) -> None:
        """Let the runs that use what this one makes know about its assets."""
        flow_frame = current_flow.get()
        if flow_frame is not None and self.task_run_id is not None:
            _track(flow_frame, str(self.task_run_id), self)


_OUTCOMES = {COMPLETED: "succeeded", FAILED: "failed"}

_contexts: weakref.WeakKeyDictionary[TaskFrame, AssetContext] = weakref.WeakKeyDictionary()
"""Of the task runs of this process that deal with assets."""
_made: weakref.WeakKeyDictionary[FlowFrame, dict[str, set[Asset]]] = weakref.WeakKeyDictionary()
"""By flow run, and by the id of its task run: the assets that come with what that returns."""


def _known(run_ids: Iterable[str]) -> dict[str, set[Asset]]:
    """The assets that come with what some runs of the current flow run return."""
    flow_frame = current_flow.get()
    made = _made.get(flow_frame, {}) if flow_frame is not None else {}
    return {run_id: made[run_id] for run_id in run_ids if run_id in made}


def _remember(known: dict[str, set[Asset]]) -> None:
    """Know in this process what `_known` knew in another one, of the current flow run."""
    flow_frame = current_flow.get()
    if flow_frame is not None and known:
        _made.setdefault(flow_frame, {}).update(known)


def _key(asset: Asset) -> str:
    return asset.key


def _run_ids(inputs: dict[str, Any] | None) -> list[str]:
    """The ids of the runs among a task run's inputs, given as models or as their JSON."""
    entries = [entry for name, found in (inputs or {}).items() if name != "__parents__" for entry in found]
    ids = (entry.get("id") if isinstance(entry, dict) else getattr(entry, "id", None) for entry in entries)
    return [str(one) for one in ids if one is not None]


def _track(flow_frame: FlowFrame, run_id: str, context: AssetContext) -> None:
    assets = context.downstream_assets or context.upstream_assets
    if assets:
        _made.setdefault(flow_frame, {})[run_id] = assets


class _Follower:
    """Follows the task runs of this process."""

    def begin(self, frame: TaskFrame) -> None:
        around = AssetContext.__var__.get(None)
        if around is not None and around.copy_to_child_ctx:
            context = around
            context.copy_to_child_ctx = False
        else:
            token = current_flow.set(frame.flow_frame)
            try:
                context = AssetContext.from_task_and_inputs(frame.task, UUID(frame.id), frame.inputs)
            finally:
                current_flow.reset(token)
        _contexts[frame] = context
        if frame.flow_frame is not None:
            # at once: the runs that use what this one returns may begin before it has been wound up
            _track(frame.flow_frame, frame.id, context)

    def take_along(self, task: Task[..., Any], id: str, upstream: set[str]) -> Callable[[], None]:
        flow_frame, known = current_flow.get(), _known(upstream)
        if flow_frame is not None:
            # the run itself is followed where it is carried out; those that use what it returns may be here
            _track(flow_frame, id, AssetContext._of(task, UUID(id), known))
        return partial(_remember, known)

    def end(self, frame: TaskFrame) -> None:
        context = _contexts.get(frame)
        if context is None or frame.state is None or not context.downstream_assets:
            return
        tokens = current_task.set(frame), current_flow.set(frame.flow_frame)
        try:
            context._emit(frame.state.type, frame.state.name)
        except ConfigurationError as exc:  # events have nowhere to go; the work does not depend on them
            get_logger("assets").debug("No event tells of the assets of task run %r: %s", frame.name, exc)
        finally:
            current_flow.reset(tokens[1])
            current_task.reset(tokens[0])


task_run.follow(_Follower())
