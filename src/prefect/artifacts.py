"""Artifacts: what runs leave for people to look at. Those with the same key are versions of one thing.

```python
@task
def report(rows: list[dict]):
    create_table_artifact(rows, key="daily-report", description="What came in today")
```
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from pydantic_core import to_jsonable_python

from prefect._bridge import async_dispatch, run, settle
from prefect._clock import now
from prefect._engine.frames import current_flow, current_task
from prefect._engine.recorder import get_recorder, is_served
from prefect._ids import new_uuid
from prefect._schemas.actions.records import ArtifactCreate, ArtifactUpdate
from prefect._schemas.artifacts import Artifact as ArtifactResponse
from prefect._schemas.filters.artifacts import ArtifactFilter, ArtifactFilterKey
from prefect._schemas.sorting import ArtifactSort
from prefect.client.utilities import async_client, sync_client
from prefect.exceptions import ObjectNotFound
from prefect.logging.loggers import get_logger

if TYPE_CHECKING:
    from prefect._engine.recording.served import ServedRecorder
    from prefect.client.orchestration import PrefectClient, SyncPrefectClient

    Client = PrefectClient | SyncPrefectClient | None

__all__ = [
    "Artifact",
    "ImageArtifact",
    "LinkArtifact",
    "MarkdownArtifact",
    "ProgressArtifact",
    "TableArtifact",
    "acreate_image_artifact",
    "acreate_link_artifact",
    "acreate_markdown_artifact",
    "acreate_progress_artifact",
    "acreate_table_artifact",
    "aupdate_progress_artifact",
    "create_image_artifact",
    "create_link_artifact",
    "create_markdown_artifact",
    "create_progress_artifact",
    "create_table_artifact",
    "update_progress_artifact",
]


class Artifact(ArtifactCreate):
    """Something that a run leaves.

    Attributes:
        key: names the thing that this is a version of: lowercase letters, digits and dashes.
        type: how it is shown, such as `markdown` or `table`.
        description: Markdown.
        data: what is left.
        metadata_: more about it, for programs.
        flow_run_id, task_run_id: who leaves it; the current runs unless given.
    """

    def _content(self) -> Any:
        """What is kept as the artifact's data."""
        return json.dumps(self.data)

    async def aformat(self) -> Any:
        """`format` for asynchronous code."""
        return self._content()

    @async_dispatch(aformat)
    def format(self) -> Any:
        """The data in the form in which it is kept."""
        return self._content()

    async def acreate(self, client: Client = None) -> ArtifactResponse:
        """`create` for asynchronous code."""
        data = await self.aformat()
        if client is None and is_served():
            return await asyncio.to_thread(_report, self, data)
        async with async_client(client) as api:
            return await _leave(api, self, data)

    @async_dispatch(acreate)
    def create(self, client: Client = None) -> ArtifactResponse:
        """Leave the artifact.

        Without a client of yours it goes the way of what else a run reports: while the server is away it is kept on
        disk, and sent in order later.

        Args:
            client: the API client to use.

        Returns:
            the artifact as it is kept.

        Raises:
            ServerUnreachable: the server has never answered, and there is no run that goes on without it.
        """
        # a subclass may have its own form; the call is one from synchronous code, whatever runs around it
        data = self.format(_sync=True) if hasattr(self.format, "aio") else self.format()
        if client is None and is_served():
            return _report(self, data)
        with sync_client(client) as api:
            return run(_leave(api, self, data))

    @classmethod
    async def aget(cls, key: str | None = None, client: Client = None) -> ArtifactResponse | None:
        """`get` for asynchronous code."""
        async with async_client(client) as api:
            return await _latest(api, key)

    @classmethod
    def get(cls, key: str | None = None, client: Client = None, *, _sync: bool | None = None) -> Any:
        """The artifact of a key that was left or changed last; None when there is none.

        Args:
            key: of the artifact; None for any.
            client: the API client to use.
        """
        return _get(cls, key, client, _sync=_sync)

    @classmethod
    async def aget_or_create(
        cls,
        key: str | None = None,
        description: str | None = None,
        data: dict[str, Any] | Any | None = None,
        client: Client = None,
        **kwargs: Any,
    ) -> tuple[ArtifactResponse, bool]:
        """`get_or_create` for asynchronous code."""
        async with async_client(client) as api:
            found = await _latest(api, key)
            if found is not None:
                return found, False
            new = cls(key=key, description=description, data=data, **kwargs)
            return await _leave(api, new, await new.aformat()), True

    @classmethod
    def get_or_create(
        cls,
        key: str | None = None,
        description: str | None = None,
        data: dict[str, Any] | Any | None = None,
        client: Client = None,
        *,
        _sync: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """The artifact of a key, left now if there is none.

        Args:
            key: of the artifact.
            description, data: of one that is left now.
            client: the API client to use.
            **kwargs: other fields of one that is left now.

        Returns:
            the artifact, and whether it was left now.
        """
        return _get_or_create(cls, key, description, data, client, _sync=_sync, **kwargs)


class LinkArtifact(Artifact):
    """A link.

    Attributes:
        link: where it leads.
        link_text: what is shown; the address unless given.
    """

    link: str
    link_text: str | None = None
    type: str | None = "markdown"

    def _content(self) -> str:
        return f"[{self.link_text or self.link}]({self.link})"


class MarkdownArtifact(Artifact):
    """A text.

    Attributes:
        markdown: the text.
    """

    markdown: str
    type: str | None = "markdown"

    def _content(self) -> str:
        return self.markdown


class TableArtifact(Artifact):
    """A table.

    Attributes:
        table: its columns by name, or its rows as mappings, or its rows as lists.
    """

    table: dict[str, list[Any]] | list[dict[str, Any]] | list[list[Any]]
    type: str | None = "table"

    def _content(self) -> str:
        return json.dumps(to_jsonable_python(_plain(self.table), fallback=str))


class ProgressArtifact(Artifact):
    """How far something has come.

    Attributes:
        progress: per cent; what is below 0 counts as 0, what is above 100 as 100.
    """

    progress: float
    type: str | None = "progress"

    def _content(self) -> float:
        return _per_cent(self.progress)


class ImageArtifact(Artifact):
    """A picture that lies elsewhere.

    Attributes:
        image_url: its address.
    """

    image_url: str
    type: str | None = "image"

    def _content(self) -> str:
        return self.image_url


# ── what asks the API: one body for both kinds of client ────────────────────────────────────────────────────────────


async def _leave(api: Any, artifact: Artifact, data: Any) -> ArtifactResponse:
    return cast(ArtifactResponse, await settle(api.create_artifact(_of_current_run(artifact, data))))


def _report(artifact: Artifact, data: Any) -> ArtifactResponse:
    """Leave an artifact with the server by way of the recorder, which knows what to do when it is away."""
    created = now()
    record = _of_current_run(artifact, data).model_dump(mode="json")
    recorder = cast("ServedRecorder", get_recorder())
    id = recorder.artifact({**record, "id": str(new_uuid()), "created": created}, in_run=_in_run())
    return ArtifactResponse.model_validate({**record, "id": id, "created": created, "updated": created})


def _in_run() -> bool:
    return current_flow.get() is not None or current_task.get() is not None


def _of_current_run(artifact: Artifact, data: Any) -> ArtifactCreate:
    flow_frame, task_frame = current_flow.get(), current_task.get()
    flow_run_id = artifact.flow_run_id or (UUID(flow_frame.id) if flow_frame is not None else None)
    if flow_run_id is None and task_frame is not None and task_frame.flow_run_id is not None:
        flow_run_id = UUID(task_frame.flow_run_id)
    return ArtifactCreate(
        type=artifact.type,
        key=artifact.key,
        description=artifact.description,
        metadata_=artifact.metadata_,
        data=data,
        flow_run_id=flow_run_id,
        task_run_id=artifact.task_run_id or (UUID(task_frame.id) if task_frame is not None else None),
    )


async def _latest(api: Any, key: str | None) -> ArtifactResponse | None:
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key])) if key is not None else None
    found = await settle(api.read_artifacts(limit=1, sort=ArtifactSort.UPDATED_DESC, artifact_filter=wanted))
    return found[0] if found else None


async def _move(api: Any, artifact_id: UUID, progress: float, description: str | None) -> UUID:
    update = ArtifactUpdate(**_progress(progress, description))
    await settle(api.update_artifact(artifact_id=artifact_id, artifact=update))
    return artifact_id


def _report_change(artifact_id: UUID, progress: float, description: str | None) -> UUID:
    """As `_move`, by way of the recorder."""
    recorder = cast("ServedRecorder", get_recorder())
    change = {"id": str(artifact_id), **_progress(progress, description)}
    if not recorder.change_artifact(change, in_run=_in_run()):
        raise ObjectNotFound(KeyError(artifact_id), f"There is no artifact '{artifact_id}' on the server.")
    return artifact_id


def _progress(progress: float, description: str | None) -> dict[str, Any]:
    """What is different about an artifact that shows progress."""
    return {"data": _per_cent(progress), **({} if description is None else {"description": description})}


@async_dispatch(lambda cls, *args: cls.aget(*args))
def _get(cls: type[Artifact], key: str | None, client: Any) -> ArtifactResponse | None:
    with sync_client(client) as api:
        return run(_latest(api, key))


@async_dispatch(lambda cls, *args, **kwargs: cls.aget_or_create(*args, **kwargs))
def _get_or_create(
    cls: type[Artifact], key: Any, description: Any, data: Any, client: Any, **kwargs: Any
) -> tuple[ArtifactResponse, bool]:
    with sync_client(client) as api:
        found = run(_latest(api, key))
        if found is not None:
            return found, False
        new = cls(key=key, description=description, data=data, **kwargs)
        return new.create(api, _sync=True), True


def _per_cent(progress: float) -> float:
    kept = min(max(float(progress), 0.0), 100.0)
    if kept != progress:
        get_logger("artifacts").warning("A progress of %s is kept as %s: it is between 0 and 100.", progress, kept)
    return kept


def _plain(value: Any) -> Any:
    """Nested values without numbers that JSON does not have: a missing one (NaN) is null there."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


# ── functions ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def acreate_link_artifact(
    link: str,
    link_text: str | None = None,
    key: str | None = None,
    description: str | None = None,
    client: Client = None,
) -> UUID:
    """`create_link_artifact` for asynchronous code."""
    new = LinkArtifact(key=key, description=description, link=link, link_text=link_text)
    return (await new.acreate(client)).id


@async_dispatch(acreate_link_artifact)
def create_link_artifact(
    link: str,
    link_text: str | None = None,
    key: str | None = None,
    description: str | None = None,
    client: Client = None,
) -> UUID:
    """Leave a link.

    Args:
        link: where it leads.
        link_text: what is shown; the address unless given.
        key: names the thing that this is a version of.
        description: Markdown.
        client: the API client to use.

    Returns:
        the id of the artifact.
    """
    new = LinkArtifact(key=key, description=description, link=link, link_text=link_text)
    return new.create(client, _sync=True).id


async def acreate_markdown_artifact(markdown: str, key: str | None = None, description: str | None = None) -> UUID:
    """`create_markdown_artifact` for asynchronous code."""
    return (await MarkdownArtifact(key=key, description=description, markdown=markdown).acreate()).id


@async_dispatch(acreate_markdown_artifact)
def create_markdown_artifact(markdown: str, key: str | None = None, description: str | None = None) -> UUID:
    """Leave a text; returns the artifact's id.

    Args:
        markdown: the text.
        key: names the thing that this is a version of.
        description: Markdown.
    """
    return MarkdownArtifact(key=key, description=description, markdown=markdown).create(_sync=True).id


async def acreate_table_artifact(
    table: dict[str, list[Any]] | list[dict[str, Any]] | list[list[Any]],
    key: str | None = None,
    description: str | None = None,
) -> UUID:
    """`create_table_artifact` for asynchronous code."""
    return (await TableArtifact(key=key, description=description, table=table).acreate()).id


@async_dispatch(acreate_table_artifact)
def create_table_artifact(
    table: dict[str, list[Any]] | list[dict[str, Any]] | list[list[Any]],
    key: str | None = None,
    description: str | None = None,
) -> UUID:
    """Leave a table; returns the artifact's id.

    Args:
        table: its columns by name, or its rows as mappings, or its rows as lists.
        key: names the thing that this is a version of.
        description: Markdown.
    """
    return TableArtifact(key=key, description=description, table=table).create(_sync=True).id


async def acreate_progress_artifact(progress: float, key: str | None = None, description: str | None = None) -> UUID:
    """`create_progress_artifact` for asynchronous code."""
    return (await ProgressArtifact(key=key, description=description, progress=progress).acreate()).id


@async_dispatch(acreate_progress_artifact)
def create_progress_artifact(progress: float, key: str | None = None, description: str | None = None) -> UUID:
    """Leave a sign of how far something has come; returns the id, for `update_progress_artifact`.

    Args:
        progress: per cent.
        key: names the thing that this is a version of.
        description: Markdown.
    """
    return ProgressArtifact(key=key, description=description, progress=progress).create(_sync=True).id


async def aupdate_progress_artifact(
    artifact_id: UUID, progress: float, description: str | None = None, client: Client = None
) -> UUID:
    """`update_progress_artifact` for asynchronous code."""
    if client is None and is_served():
        return await asyncio.to_thread(_report_change, artifact_id, progress, description)
    async with async_client(client) as api:
        return await _move(api, artifact_id, progress, description)


@async_dispatch(aupdate_progress_artifact)
def update_progress_artifact(
    artifact_id: UUID, progress: float, description: str | None = None, client: Client = None
) -> UUID:
    """Say how far something has come by now; returns the artifact's id.

    Args:
        artifact_id: from `create_progress_artifact`.
        progress: per cent.
        description: Markdown; that which is there stays unless given.
        client: the API client to use.

    Raises:
        ObjectNotFound: there is no such artifact. Nobody can tell while the server is away: then the change is kept, and
            has no effect later.
    """
    if client is None and is_served():
        return _report_change(artifact_id, progress, description)
    with sync_client(client) as api:
        return run(_move(api, artifact_id, progress, description))


async def acreate_image_artifact(image_url: str, key: str | None = None, description: str | None = None) -> UUID:
    """`create_image_artifact` for asynchronous code."""
    return (await ImageArtifact(key=key, description=description, image_url=image_url).acreate()).id


@async_dispatch(acreate_image_artifact)
def create_image_artifact(image_url: str, key: str | None = None, description: str | None = None) -> UUID:
    """Leave a picture that lies elsewhere; returns the artifact's id.

    Args:
        image_url: its address.
        key: names the thing that this is a version of.
        description: Markdown.
    """
    return ImageArtifact(key=key, description=description, image_url=image_url).create(_sync=True).id
