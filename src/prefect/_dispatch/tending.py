"""Holding on to the runs that a program carries out, and hearing when one of them is to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from prefect._dispatch.claims import Claim, ClaimSource, is_passing
from prefect.logging.loggers import get_logger

_log = get_logger("dispatch")

RENEW_SECONDS = 3.0
"""How often leases are renewed: much oftener than they need, because that is how one hears of a cancellation."""
_PATIENCE = 4
"""So many times in a row a run is heard to be lost before its process is stopped: it may have ended and be about to go."""

Stop = Callable[[UUID], Awaitable[None]]


class Tending:
    """The runs that a program holds.

    Args:
        source: where they were claimed.
        cancel: called once with the id of a run that is to be cancelled.
        lost: called once with the id of a run that somebody else holds by now, or that was ended by somebody.
        seconds: between two renewals.
    """

    def __init__(self, source: ClaimSource, cancel: Stop, lost: Stop, seconds: float = RENEW_SECONDS) -> None:
        self._source = source
        self._stops: dict[str, Stop] = {"cancel": cancel, "lost": lost}
        self._seconds = seconds
        self._held: dict[UUID, Claim] = {}
        self._unknown: dict[UUID, str] = {}
        self._missed: dict[UUID, int] = {}
        self._told: set[UUID] = set()
        self._calls: set[asyncio.Task[None]] = set()

    def __contains__(self, id: UUID) -> bool:
        return id in self._held

    def hold(self, claim: Claim) -> None:
        """Hold a run until `let_go`."""
        self._held[claim.id] = claim

    def introduce(self, id: UUID, infrastructure: str) -> None:
        """Tell with the next renewal how the infrastructure of a run is known.

        For processes that say so themselves, which may take a while to begin: most runs are over before that.
        """
        self._unknown[id] = infrastructure

    def introduction(self, id: UUID) -> str | None:
        """How the infrastructure of a run is known, if that is still to be told."""
        return self._unknown.get(id)

    def let_go(self, id: UUID, claim: Claim | None = None) -> None:
        """Hold a run no longer; its lease is not renewed.

        Args:
            id: of the run.
            claim: only if it is still held by this claim, and was not claimed again meanwhile.
        """
        if claim is not None and self._held.get(id) is not claim:
            return
        self._held.pop(id, None)
        self._unknown.pop(id, None)
        self._missed.pop(id, None)
        self._told.discard(id)

    async def run(self) -> None:
        """Renew for ever."""
        while True:
            await asyncio.sleep(self._seconds)
            if self._held:
                await self.renew()

    async def renew(self) -> None:
        """Renew once, and see to what is heard. Trouble with the API is borne: leases last for many renewals."""
        unknown = dict(self._unknown)
        try:
            news = await self._source.renew(self._held.values(), infrastructures=unknown)
        except Exception as exc:
            if not is_passing(exc):
                _log.warning("The leases of %d flow runs could not be renewed:", len(self._held), exc_info=True)
            else:
                _log.debug("The leases of %d flow runs could not be renewed: %s", len(self._held), exc)
            return
        for id in unknown:
            self._unknown.pop(id, None)
        for id in news.cancelling:
            self._tell("cancel", id)
        for id in [id for id in self._missed if id not in news.lost]:
            del self._missed[id]
        for id in news.lost & self._held.keys():
            self._missed[id] = self._missed.get(id, 0) + 1
            if self._missed[id] >= _PATIENCE:
                self._tell("lost", id)

    def _tell(self, what: str, id: UUID) -> None:
        if id in self._told or id not in self._held:
            return
        self._told.add(id)
        call = asyncio.ensure_future(self._stops[what](id))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
