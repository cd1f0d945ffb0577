"""Following task runs that other processes carry out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

from prefect._background import waiting

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["TaskRunWaiter"]


class TaskRunWaiter:
    """Tells when task runs have ended.

    ```python
    future = add.delay(1, 2)
    await TaskRunWaiter.wait_for_task_run(future.task_run_id)
    ```
    """

    _instance: ClassVar[Any] = None

    @classmethod
    def instance(cls) -> Self:
        """The waiter of this process."""
        if cls._instance is None:
            cls._instance = cls()
        return cls._instance

    def start(self) -> None:
        """Make sure that runs can be followed; it is also done when first needed.

        Raises:
            ConfigurationError: the settings name a server.
        """
        waiting.get_waiter()

    def stop(self) -> None:
        """Call no more callbacks that were registered for the database of the current settings."""
        waiting.get_waiter().clear()

    @classmethod
    async def wait_for_task_run(cls, task_run_id: UUID, timeout: float | None = None) -> None:
        """Wait until a task run has ended.

        Args:
            task_run_id: the run.
            timeout: seconds to wait at most; nothing is said when they have gone by.
        """
        await waiting.wait_async(str(task_run_id), timeout)

    @classmethod
    def add_done_callback(cls, task_run_id: UUID, callback: Callable[[], None]) -> None:
        """Call `callback()` when a task run has ended, on a thread of the waiter; soon, if it has ended already."""
        waiting.get_waiter().add(str(task_run_id), lambda _: callback())
