"""Made from `_methods/concurrency.py` by `python -m prefect.client._methods --write`. Change that file, not this one."""

# fmt: off

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from uuid import UUID

from prefect._lazy import lazy_module
from prefect._schemas.actions.concurrency import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect._schemas.concurrency import ConcurrencyLeaseHolder, ConcurrencyLimit, GlobalConcurrencyLimitResponse
from prefect.client._sync_methods.base import Asking
from prefect.client.wire import SlotAnswer, changes, given, read, read_all, read_id, slot_answer

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy_module("httpx")


class ConcurrencyMethods(Asking):
    """Limits by tag, limits by name, and the slots that are taken of them."""

    def create_concurrency_limit(self, tag: str, concurrency_limit: int) -> UUID:
        """Limit how many task runs with a tag run at once, or change the limit; returns its id."""
        body = {"tag": tag, "concurrency_limit": concurrency_limit}
        return read_id(self._call("POST", "/concurrency_limits/", body))

    def read_concurrency_limit_by_tag(self, tag: str) -> ConcurrencyLimit:
        """The limit on a tag.

        Raises:
            ObjectNotFound: the tag has no limit.
        """
        return read(ConcurrencyLimit, self._call("GET", "/concurrency_limits/tag/{tag}", tag=tag))

    def read_concurrency_limits(self, limit: int, offset: int) -> list[ConcurrencyLimit]:
        """The limits on tags, a page of them."""
        body = {"limit": limit, "offset": offset}
        return read_all(ConcurrencyLimit, self._call("POST", "/concurrency_limits/filter", body))

    def reset_concurrency_limit_by_tag(self, tag: str, slot_override: list[UUID | str] | None = None) -> None:
        """Say which task runs hold the slots of a tag.

        Args:
            tag: that is limited.
            slot_override: the ids of the task runs; none unless given.

        Raises:
            ObjectNotFound: the tag has no limit.
        """
        body = {"slot_override": None if slot_override is None else [str(slot) for slot in slot_override]}
        self._call("POST", "/concurrency_limits/tag/{tag}/reset", body, tag=tag)

    def delete_concurrency_limit_by_tag(self, tag: str) -> None:
        """Delete the limit on a tag.

        Raises:
            ObjectNotFound: the tag has no limit.
        """
        self._call("DELETE", "/concurrency_limits/tag/{tag}", tag=tag)

    def increment_v1_concurrency_slots(self, names: list[str], task_run_id: UUID) -> httpx.Response:
        """Take a slot of each tag for a task run; status 423 and `Retry-After` say that it has to wait."""
        body = {"names": names, "task_run_id": task_run_id}
        # a task run that holds a slot already does not take another
        return self._respond("POST", "/concurrency_limits/increment", body)

    def decrement_v1_concurrency_slots(
        self, names: list[str], task_run_id: UUID, occupancy_seconds: float
    ) -> httpx.Response:
        """Give back the slots of tags that a task run holds.

        Args:
            names: the tags.
            task_run_id: who holds the slots.
            occupancy_seconds: for how long they were held.
        """
        body = {"names": names, "task_run_id": task_run_id, "occupancy_seconds": occupancy_seconds}
        return self._respond("POST", "/concurrency_limits/decrement", body)

    def request_concurrency_slots(
        self,
        names: list[str],
        slots: int,
        mode: Literal["concurrency", "rate_limit"],
        lease_duration: float | None = None,
        holder: ConcurrencyLeaseHolder | None = None,
        wait_seconds: float = 0,
        waiter_id: UUID | None = None,
    ) -> SlotAnswer:
        """Take slots of every named limit, or learn when to ask again.

        Args:
            names: of the limits; those that do not exist are left out.
            slots: how many of each.
            mode: `concurrency` or `rate_limit`.
            lease_duration: in seconds, if they are to come free by themselves unless the lease is renewed.
            holder: who takes them.
            wait_seconds: how long the API may keep the request until there are so many; one that cannot answers at once.
            waiter_id: tells the API that it is the same one who asks again, and keeps the place in the line.

        Raises:
            PrefectHTTPStatusError: there never are so many; a limit without decay is asked for a rate.
        """
        body = given(names=names, slots=slots, mode=mode, lease_duration=lease_duration, holder=holder)
        if wait_seconds > 0:
            body |= given(wait_seconds=wait_seconds, waiter_id=waiter_id)
        route = f"/v2/concurrency_limits/increment{'' if lease_duration is None else '-with-lease'}"
        return slot_answer(self._call("POST", route, body, allow={423}, repeatable=False))

    def request_v1_concurrency_slots(self, names: list[str], task_run_id: UUID) -> SlotAnswer:
        """Take a slot of each tag for a task run, or learn when to ask again."""
        body = {"names": names, "task_run_id": task_run_id}
        return slot_answer(self._call("POST", "/concurrency_limits/increment", body, allow={423}))

    def increment_concurrency_slots(self, names: list[str], slots: int, mode: str) -> httpx.Response:
        """Take slots of every named limit.

        Args:
            names: of the limits; those that do not exist are left out.
            slots: how many of each.
            mode: `concurrency` or `rate_limit`.

        Raises:
            PrefectHTTPStatusError: with status 423, when there are not so many free; `Retry-After` says when to ask.
        """
        body = {"names": names, "slots": slots, "mode": mode}
        return self._respond("POST", "/v2/concurrency_limits/increment", body, repeatable=False)

    def increment_concurrency_slots_with_lease(
        self,
        names: list[str],
        slots: int,
        mode: Literal["concurrency", "rate_limit"],
        lease_duration: float,
        holder: ConcurrencyLeaseHolder | None = None,
    ) -> httpx.Response:
        """Take slots of every named limit, for a time: they come free by themselves unless the lease is renewed.

        Args:
            names: of the limits; those that do not exist are left out.
            slots: how many of each.
            mode: `concurrency` or `rate_limit`.
            lease_duration: in seconds.
            holder: who takes them.

        Raises:
            PrefectHTTPStatusError: with status 423, when there are not so many free; `Retry-After` says when to ask.
        """
        body = given(names=names, slots=slots, mode=mode, lease_duration=lease_duration, holder=holder)
        return self._respond("POST", "/v2/concurrency_limits/increment-with-lease", body, repeatable=False)

    def renew_concurrency_lease(self, lease_id: UUID, lease_duration: float) -> httpx.Response:
        """Keep leased slots for so many seconds from now.

        Raises:
            ObjectNotFound: the lease has ended.
        """
        body = {"lease_duration": lease_duration}
        return self._respond("POST", "/v2/concurrency_limits/leases/{lease_id}/renew", body, lease_id=lease_id)

    def release_concurrency_slots(self, names: list[str], slots: int, occupancy_seconds: float) -> httpx.Response:
        """Give slots back.

        Args:
            names: of the limits.
            slots: how many of each.
            occupancy_seconds: for how long they were held.
        """
        body = {"names": names, "slots": slots, "occupancy_seconds": occupancy_seconds}
        return self._respond("POST", "/v2/concurrency_limits/decrement", body, repeatable=False)

    def release_concurrency_slots_with_lease(self, lease_id: UUID) -> httpx.Response:
        """Give leased slots back."""
        body = {"lease_id": lease_id}
        return self._respond("POST", "/v2/concurrency_limits/decrement-with-lease", body)

    def create_global_concurrency_limit(self, concurrency_limit: GlobalConcurrencyLimitCreate) -> UUID:
        """Make a limit with a name; returns its id.

        Raises:
            ObjectAlreadyExists: there is a limit of this name.
        """
        body = changes(concurrency_limit)
        return read_id(self._call("POST", "/v2/concurrency_limits/", body, repeatable=False))

    def update_global_concurrency_limit(
        self, name: str, concurrency_limit: GlobalConcurrencyLimitUpdate
    ) -> httpx.Response:
        """Change the limit of a name.

        Raises:
            ObjectNotFound: there is no such limit.
        """
        body = changes(concurrency_limit)
        return self._respond("PATCH", "/v2/concurrency_limits/{id_or_name}", body, id_or_name=name)

    def delete_global_concurrency_limit_by_name(self, name: str) -> httpx.Response:
        """Delete the limit of a name.

        Raises:
            ObjectNotFound: there is no such limit.
        """
        return self._respond("DELETE", "/v2/concurrency_limits/{id_or_name}", id_or_name=name)

    def read_global_concurrency_limit_by_name(self, name: str) -> GlobalConcurrencyLimitResponse:
        """The limit of a name.

        Raises:
            ObjectNotFound: there is no such limit.
        """
        reply = self._call("GET", "/v2/concurrency_limits/{id_or_name}", id_or_name=name)
        return read(GlobalConcurrencyLimitResponse, reply)

    def upsert_global_concurrency_limit_by_name(
        self, name: str, limit: int, slot_decay_per_second: float | None = None
    ) -> None:
        """Make the limit of a name, or change it.

        Args:
            name: of the limit.
            limit: how many slots there are.
            slot_decay_per_second: slots that come free each second without being given back.
        """
        fields = given(name=name, limit=limit, slot_decay_per_second=slot_decay_per_second)
        found = self._call("GET", "/v2/concurrency_limits/{id_or_name}", allow={404}, id_or_name=name)
        if found.status == 404:
            made = self._call("POST", "/v2/concurrency_limits/", fields, allow={409}, repeatable=False)
            if made.status != 409:
                return
            # another has made it since we asked
        self._call("PATCH", "/v2/concurrency_limits/{id_or_name}", fields, id_or_name=name)

    def read_global_concurrency_limits(
        self, limit: int = 10, offset: int = 0
    ) -> list[GlobalConcurrencyLimitResponse]:
        """The limits with a name, a page of them."""
        body = {"limit": limit, "offset": offset}
        return read_all(GlobalConcurrencyLimitResponse, self._call("POST", "/v2/concurrency_limits/filter", body))
