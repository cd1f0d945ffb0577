"""Tasks that make assets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect._engine import task_options
from prefect.assets import context as context  # follows the runs of such tasks from here on
from prefect.assets.core import Asset, as_assets
from prefect.tasks import Task

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from prefect.tasks import TaskOptions

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class MaterializingTask(Task[P, R]):
    """A task that makes assets. Made by the `materialize` decorator.

    Args:
        fn: the function.
        assets: what it makes, as assets or by their keys.
        materialized_by: the tool that makes them, such as `dbt`.
        **task_kwargs: the options of a task.
    """

    def __init__(
        self,
        fn: Callable[P, R],
        *,
        assets: Sequence[str | Asset],
        materialized_by: str | None = None,
        **task_kwargs: Unpack[TaskOptions],
    ) -> None:
        super().__init__(fn, **task_kwargs)
        self.assets: list[Asset] = as_assets(assets)
        self.materialized_by = materialized_by

    def with_options(  # type: ignore[override]
        self, assets: Sequence[str | Asset] | None = None, **task_kwargs: Any
    ) -> MaterializingTask[P, R]:
        """A task like this one with some options changed.

        Args:
            assets: what it makes.
            **task_kwargs: the options of a task.
        """
        by = task_kwargs.pop("materialized_by", None) or self.materialized_by
        options = task_options.varied(self, task_kwargs, self._cache_policy)
        return MaterializingTask(assets=self.assets if assets is None else assets, materialized_by=by, **options)
