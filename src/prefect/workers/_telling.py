"""How a worker tells of itself and of what it does: in the logs of runs, and by events."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

import prefect
from prefect._lazy import lazy_module
from prefect._schemas.events import RelatedResource
from prefect._schemas.flow_runs import FlowRun
from prefect.logging.loggers import PrefectLogAdapter, flow_run_logger
from prefect.utilities.slugify import slugify
from prefect.workers._configuration import BaseJobConfiguration, related_resource

if TYPE_CHECKING:
    from prefect._events import emitting
    from prefect.workers._pool import Pool
else:
    emitting = lazy_module("prefect._events.emitting")


class Telling:
    """What tells of a worker."""

    type: ClassVar[str]
    name: str
    backend_id: UUID | None
    _logger: logging.Logger
    _work_pool_name: str
    _pool: Pool

    def get_name_slug(self) -> str:
        """The name, as it fits into addresses and labels."""
        return slugify(self.name)

    def get_flow_run_logger(self, flow_run: FlowRun) -> PrefectLogAdapter:
        """A logger for what the worker does about a run."""
        more = {
            "worker_name": self.name,
            "work_pool_name": self._work_pool_name,
            "work_pool_id": str(self._pool.known.id) if self._pool.known is not None else "<unknown>",
        }
        if self.backend_id is not None:
            more["worker_id"] = str(self.backend_id)
        logger: Any = flow_run_logger(flow_run)
        return logger.getChild("worker", extra=more)

    def _event_resource(self) -> dict[str, str]:
        return {
            "prefect.resource.id": f"prefect.worker.{self.type}.{self.get_name_slug()}",
            "prefect.resource.name": self.name,
            "prefect.version": prefect.__version__,
            "prefect.worker-type": self.type,
        }

    def _event_related_resources(
        self, configuration: BaseJobConfiguration | None = None, include_self: bool = False
    ) -> list[RelatedResource]:
        """What an event of the worker has to do with.

        Args:
            configuration: of the run that it is about.
            include_self: the worker too, for events about something else.
        """
        found = configuration._related_resources() if configuration is not None else []
        if (pool := self._pool.known) is not None:
            found.append(related_resource("work-pool", pool.id, pool.name))
        if include_self:
            found.append(RelatedResource({**self._event_resource(), "prefect.resource.role": "worker"}))
        return found

    def _emit(self, event: str, configuration: BaseJobConfiguration | None = None) -> None:
        try:
            emitting.emit_event(event, self._event_resource(), related=self._event_related_resources(configuration))
        except Exception as exc:  # events tell of the work, they are not part of it
            self._logger.debug("The event %s could not be emitted: %s", event, exc)
