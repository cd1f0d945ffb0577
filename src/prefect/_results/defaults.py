"""What is used for results when nothing is said: settings, and the names users may say it with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect._bridge import run
from prefect._lazy import lazy_module
from prefect._results.storage import ASYNC, SYNC, Port
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import uuid
    from uuid import UUID

    from prefect import filesystems, serializers
    from prefect.blocks import core as blocks
    from prefect.filesystems import NullFileSystem, WritableFileSystem
    from prefect.serializers import Serializer
else:
    uuid = lazy_module("uuid")
    # all of them import pydantic
    blocks = lazy_module("prefect.blocks.core")
    filesystems = lazy_module("prefect.filesystems")
    serializers = lazy_module("prefect.serializers")


def resolve_serializer(serializer: Serializer[Any] | str) -> Serializer[Any]:
    """The serializer given by object or by type.

    Raises:
        ValueError: no serializer has that type.
        TypeError: the argument is neither.
    """
    if isinstance(serializer, serializers.Serializer):
        return serializer
    if isinstance(serializer, str):
        return serializers.Serializer.model_validate({"type": serializer})
    raise TypeError(
        "Result serializer must be one of the following types: 'Serializer', 'str'. "
        f"Got unsupported type {type(serializer).__name__!r}."
    )


async def _resolve_storage(port: Port, storage: Any) -> Any:
    if isinstance(storage, (blocks.Block, filesystems.NullFileSystem)):
        block = storage
    elif isinstance(storage, Path):
        return filesystems.LocalFileSystem(basepath=str(storage))
    elif isinstance(storage, str):
        block = await _from_text(port, storage)
    elif isinstance(storage, uuid.UUID):
        block = await port.call(blocks.Block.load_from_ref, {"block_document_id": storage})
    else:
        raise TypeError(
            "Result storage must be one of the following types: 'UUID', 'Block', 'Path', 'str'. "
            f"Got unsupported type {type(storage).__name__!r}."
        )
    if not callable(getattr(block, "read_path", None)) or not callable(getattr(block, "write_path", None)):
        raise TypeError(
            f"A {type(block).__name__!r} block cannot store results: it lacks `read_path` or `write_path`. "
            "Use a block that derives from `WritableFileSystem`."
        )
    return block


async def _from_text(port: Port, storage: str) -> Any:
    """A saved block by `type/name`, or a local folder by its path."""
    if storage.startswith(("/", "./", "../", "~")) or Path(storage).is_absolute():
        return filesystems.LocalFileSystem(basepath=storage)
    if storage.count("/") != 1:
        raise ValueError(
            f"Result storage {storage!r} is neither the name of a saved block, such as 'local-file-system/results', nor "
            "a path that starts with '/', './' or '~'."
        )
    return await port.call(blocks.Block.load, storage)


def resolve_result_storage(
    result_storage: WritableFileSystem | str | UUID | Path,
) -> WritableFileSystem | NullFileSystem:
    """The file system that keeps results, from what a user may give for it.

    Args:
        result_storage: a file system; a `pathlib.Path` or a text that starts with `/`, `./` or `~` (a local folder);
            `"type/name"` or the id of a saved block.

    Raises:
        ValueError: there is no such block.
        TypeError: the argument is none of these, or a block that cannot store results.
    """
    return run(_resolve_storage(SYNC, result_storage))


async def aresolve_result_storage(
    result_storage: WritableFileSystem | str | UUID | Path,
) -> WritableFileSystem | NullFileSystem:
    """`resolve_result_storage` for asynchronous code."""
    return await _resolve_storage(ASYNC, result_storage)


def get_default_result_storage() -> WritableFileSystem:
    """The file system of the setting `results.default_storage_block`, else the folder `results.local_storage_path`."""
    settings = get_current_settings().results
    chosen = settings.default_storage_block or settings.local_storage_path
    return resolve_result_storage(chosen)  # type: ignore[return-value]


async def aget_default_result_storage() -> WritableFileSystem:
    """`get_default_result_storage` for asynchronous code."""
    settings = get_current_settings().results
    chosen = settings.default_storage_block or settings.local_storage_path
    return await aresolve_result_storage(chosen)  # type: ignore[return-value]


async def get_or_create_default_task_scheduling_storage() -> WritableFileSystem:
    """Where the parameters of deferred task runs are kept: the block of the setting
    `tasks.scheduling.default_storage_block`, else the default storage of results.
    """
    chosen = get_current_settings().tasks.scheduling.default_storage_block
    return await aresolve_result_storage(chosen) if chosen else await aget_default_result_storage()  # type: ignore[return-value]


def get_default_result_serializer() -> Serializer[Any]:
    """The serializer of the setting `results.default_serializer`."""
    return resolve_serializer(get_current_settings().results.default_serializer)


def get_default_persist_setting() -> bool:
    """Whether flows persist results when nothing else is said: the setting `results.persist_by_default`."""
    return get_current_settings().results.persist_by_default


def get_default_persist_setting_for_tasks() -> bool:
    """Whether tasks do: the setting `tasks.default_persist_result`, else `results.persist_by_default`."""
    settings = get_current_settings()
    chosen = settings.tasks.default_persist_result
    return settings.results.persist_by_default if chosen is None else chosen
