"""Slots of tags that could not be given back at once."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, ClassVar
from uuid import UUID

from pydantic import Field

from prefect._defaults import new_list
from prefect._engine.contexts import ContextModel
from prefect.client.utilities import sync_client
from prefect.logging.loggers import get_logger

__all__ = ["ConcurrencyContext"]


class ConcurrencyContext(ContextModel):
    """A block at whose end those slots of tags are given back that could not be given back in it.

    Attributes:
        cleanup_slots: the tags, how long the slots were held in seconds, and the task run that holds them.
    """

    __var__: ClassVar[ContextVar[Any]] = ContextVar("prefect_concurrency_v1")

    cleanup_slots: list[tuple[list[str], float, UUID]] = Field(default_factory=new_list)

    def __exit__(self, *exc_info: object) -> None:
        super().__exit__(*exc_info)
        for names, seconds, task_run_id in self.cleanup_slots:
            try:
                with sync_client() as api:
                    api.decrement_v1_concurrency_slots(names, task_run_id, seconds)
            except Exception as exc:  # whatever keeps us from the API
                get_logger("concurrency").warning("Slots of %s could not be given back: %s", names, exc)
        self.cleanup_slots.clear()
