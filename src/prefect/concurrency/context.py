"""Slots that could not be given back at once."""

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
    """A block at whose end those leases on slots are ended that could not be ended in it, as the API did not answer.

    Attributes:
        cleanup_lease_ids: of the leases.
    """

    __var__: ClassVar[ContextVar[Any]] = ContextVar("prefect_concurrency")

    cleanup_lease_ids: list[UUID] = Field(default_factory=new_list)

    def __exit__(self, *exc_info: object) -> None:
        super().__exit__(*exc_info)
        for lease_id in self.cleanup_lease_ids:
            try:
                with sync_client() as api:
                    api.release_concurrency_slots_with_lease(lease_id=lease_id)
            except Exception as exc:  # whatever keeps us from the API: the lease ends by itself
                get_logger("concurrency").warning(
                    "The lease %s could not be ended; it ends by itself: %s", lease_id, exc
                )
        self.cleanup_lease_ids.clear()
