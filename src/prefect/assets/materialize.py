"""The decorator of functions that make assets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from prefect.assets.core import Asset
from prefect.assets.task import MaterializingTask

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from prefect.tasks import TaskOptions

P = ParamSpec("P")
R = TypeVar("R")

__all__ = ["materialize"]


def materialize(
    *assets: str | Asset, by: str | None = None, **task_kwargs: Unpack[TaskOptions]
) -> Callable[[Callable[P, R]], MaterializingTask[P, R]]:
    """Make a task of a function that makes assets. When it has run, events tell which assets it made and read.

    Args:
        *assets: what it makes, as assets or by their keys.
        by: the tool that makes them, such as `dbt`.
        **task_kwargs: the options of a task; `asset_deps` are the assets it reads.

    Raises:
        TypeError: no asset is given.
    """
    if not assets or not all(isinstance(asset, str | Asset) for asset in assets):
        raise TypeError("materialize requires at least one asset argument, e.g. `@materialize(asset)`")

    def decorate(fn: Callable[P, R]) -> MaterializingTask[P, R]:
        return MaterializingTask(fn, assets=assets, materialized_by=by, **task_kwargs)

    return decorate
