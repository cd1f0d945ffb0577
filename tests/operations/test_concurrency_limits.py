"""Slots of concurrency limits: by name, under leases, at a rate, and by tag."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prefect._clock import now
from prefect._ids import new_uuid
from prefect._operations import concurrency_limits as v1
from prefect._operations import concurrency_limits_v2 as v2
from prefect._operations import slots
from prefect._operations.errors import Conflict, Gone, Invalid, Locked, NotFound
from prefect._schemas.actions.concurrency import (
    ConcurrencyLimitCreate,
    ConcurrencyLimitV2Create,
    ConcurrencyLimitV2Update,
)
from prefect._store.tables import concurrency_lease, concurrency_limit, concurrency_slot


def make(tx: sa.Connection, name: str = "a", limit: int = 2, **fields: Any) -> UUID:
    return v2.create_concurrency_limit_v2(tx, ConcurrencyLimitV2Create(name=name, limit=limit, **fields)).id


def take(tx: sa.Connection, *names: str, slots: int = 1, **fields: Any) -> list[str]:
    body = v2.SlotRequest(names=list(names), slots=slots, **fields)
    return [limit.name for limit in v2.bulk_increment_active_slots(tx, body)]


def lease(tx: sa.Connection, *names: str, slots: int = 1, **fields: Any) -> UUID:
    body = v2.LeasedSlotRequest(names=list(names), slots=slots, **fields)
    return v2.bulk_increment_active_slots_with_lease(tx, body).lease_id


def give_back(tx: sa.Connection, *names: str, slots: int = 1, seconds: float | None = None) -> None:
    v2.bulk_decrement_active_slots(tx, v2.SlotReturn(names=list(names), slots=slots, occupancy_seconds=seconds))


def end(tx: sa.Connection, lease_id: UUID) -> None:
    v2.bulk_decrement_active_slots_with_lease(tx, v2.LeaseReturn(lease_id=lease_id))


def active(tx: sa.Connection, name: str = "a") -> int:
    return v2.read_concurrency_limit_v2(tx, name).active_slots


def pass_time(tx: sa.Connection, seconds: float) -> None:
    """Let everything that was recorded be so much older."""
    span = timedelta(seconds=seconds)
    for table, column in ((concurrency_lease, "expires"), (concurrency_lease, "created"), (concurrency_limit, "open_slots_at")):  # fmt: skip
        for row in tx.execute(sa.select(table.c.id, table.c[column]).where(table.c[column].is_not(None))).all():
            tx.execute(sa.update(table).where(table.c.id == row.id).values({column: row[1] - span}))


# -- limits ---------------------------------------------------------------------------------------------------------


def test_a_limit_is_made_read_changed_and_deleted(both: sa.Connection) -> None:
    made = v2.create_concurrency_limit_v2(both, ConcurrencyLimitV2Create(name="a", limit=2, active_slots=1))
    assert (made.active_slots, made.denied_slots, made.avg_slot_occupancy_seconds) == (1, 0, 2.0)
    by_name = v2.read_concurrency_limit_v2(both, "a")
    assert by_name == v2.read_concurrency_limit_v2(both, made.id) == v2.read_concurrency_limit_v2(both, str(made.id))
    assert (by_name.limit, by_name.active, by_name.active_slots, by_name.slot_decay_per_second) == (2, True, 1, 0.0)
    v2.update_concurrency_limit_v2(both, "a", ConcurrencyLimitV2Update(name="b", limit=7, active_slots=3))
    changed = v2.read_concurrency_limit_v2(both, made.id)
    assert (changed.name, changed.limit, changed.active_slots) == ("b", 7, 3)
    v2.delete_concurrency_limit_v2(both, "b")
    for absent in (
        lambda: v2.read_concurrency_limit_v2(both, "b"),
        lambda: v2.read_concurrency_limit_v2(both, made.id),
        lambda: v2.update_concurrency_limit_v2(both, "b", ConcurrencyLimitV2Update()),
        lambda: v2.delete_concurrency_limit_v2(both, made.id),
    ):
        with pytest.raises(NotFound):
            absent()


def test_a_name_is_taken_once(both: sa.Connection) -> None:
    make(both, "a")
    with pytest.raises(Conflict, match="'a' already exists"):
        make(both, "a")
    make(both, "b")
    with pytest.raises(Conflict, match="'a' already exists"):
        v2.update_concurrency_limit_v2(both, "b", ConcurrencyLimitV2Update(name="a"))
    with pytest.raises(Invalid, match="limit cannot be null"):
        v2.update_concurrency_limit_v2(both, "b", ConcurrencyLimitV2Update(limit=None))
    page = v2.read_all_concurrency_limits_v2(both, v2.ConcurrencyLimitPage(limit=1, offset=1))
    assert [limit.name for limit in page] == ["b"]


# -- slots ----------------------------------------------------------------------------------------------------------


def test_slots_are_taken_of_all_limits_or_of_none(both: sa.Connection) -> None:
    make(both, "a", 2)
    make(both, "b", 1)
    assert take(both, "b", "a", "no-limit", "a") == ["a", "b"]
    with pytest.raises(Locked, match="No room in 'b'") as locked:
        take(both, "a", "b")
    assert locked.value.retry_after == pytest.approx(2.0)
    assert (active(both, "a"), active(both, "b")) == (1, 1)
    give_back(both, "b", slots=5)
    take(both, "a", "b")
    assert (active(both, "a"), active(both, "b")) == (2, 1)
    assert take(both) == []


def test_more_than_a_limit_has_is_never_given(both: sa.Connection) -> None:
    make(both, "a", 2)
    make(both, "off", 1, active=False)
    with pytest.raises(Invalid, match="greater than the limit"):
        take(both, "a", slots=3)
    assert take(both, "off", slots=3) == ["off"]


def test_the_wait_follows_how_long_slots_are_held(both: sa.Connection) -> None:
    make(both, "a", 1)
    take(both, "a")
    give_back(both, "a", seconds=12.0)
    take(both, "a")
    with pytest.raises(Locked) as locked:
        take(both, "a")
    assert locked.value.retry_after == pytest.approx(12.0)
    give_back(both, "a", seconds=1e9)
    take(both, "a")
    with pytest.raises(Locked) as locked:
        take(both, "a")
    assert locked.value.retry_after == 30


def test_at_a_rate_slots_come_free_by_themselves(both: sa.Connection) -> None:
    make(both, "steady")
    make(both, "rate", 2, slot_decay_per_second=0.5)
    with pytest.raises(Invalid, match="'steady'"):
        take(both, "steady", "rate", mode="rate_limit")
    take(both, "rate", slots=2, mode="rate_limit")
    with pytest.raises(Locked) as locked:
        take(both, "rate", mode="rate_limit")
    assert locked.value.retry_after == pytest.approx(2.0, abs=0.5)
    pass_time(both, 2)
    assert active(both, "rate") == 1
    take(both, "rate", mode="rate_limit")
    pass_time(both, 100)
    assert active(both, "rate") == 0


def test_a_new_decay_leaves_free_what_has_come_free(both: sa.Connection) -> None:
    make(both, "rate", 4, slot_decay_per_second=1.0, active_slots=4)
    pass_time(both, 2.5)
    v2.update_concurrency_limit_v2(both, "rate", ConcurrencyLimitV2Update(slot_decay_per_second=0))
    assert active(both, "rate") == 2
    pass_time(both, 100)
    assert active(both, "rate") == 2


# -- leases ---------------------------------------------------------------------------------------------------------


def test_a_lease_holds_slots_until_it_is_given_back(both: sa.Connection) -> None:
    make(both, "a", 2)
    held = lease(both, "a", slots=2, holder={"type": "flow_run", "id": new_uuid()})
    assert active(both) == 2
    with pytest.raises(Locked):
        lease(both, "a")
    assert both.execute(sa.select(sa.func.count()).select_from(concurrency_lease)).scalar_one() == 1
    for _ in range(2):
        end(both, held)
        assert active(both) == 0


def test_a_lease_ends_unless_it_is_renewed(both: sa.Connection) -> None:
    make(both, "a", 2)
    renewed, left = lease(both, "a", lease_duration=60), lease(both, "a", lease_duration=60)
    pass_time(both, 40)
    v2.renew_concurrency_lease(both, renewed, v2.LeaseRenewal(lease_duration=60))
    pass_time(both, 40)
    assert active(both) == 1
    lease(both, "a")
    for id in (left, new_uuid()):
        with pytest.raises(Gone, match="expired or been revoked"):
            v2.renew_concurrency_lease(both, id, v2.LeaseRenewal())
    assert slots.forget_ended_leases(both, now()) == 1
    assert active(both) == 2


def test_a_lease_of_what_is_not_limited_is_renewed_all_the_same(both: sa.Connection) -> None:
    v2.renew_concurrency_lease(both, lease(both), v2.LeaseRenewal())
    v2.renew_concurrency_lease(both, lease(both, "no-limit"), v2.LeaseRenewal())


def test_a_lease_of_a_limit_with_a_decay(both: sa.Connection) -> None:
    make(both, "rate", 2, slot_decay_per_second=0.5)
    held = lease(both, "rate", slots=2)
    pass_time(both, 2)
    assert active(both, "rate") == 1
    end(both, held)
    assert active(both, "rate") == 0


def test_leased_slots_stay_taken_when_the_count_is_set(both: sa.Connection) -> None:
    make(both, "a", 5)
    lease(both, "a", slots=2)
    take(both, "a", slots=2)
    for count, expected in ((0, 2), (3, 3)):
        v2.update_concurrency_limit_v2(both, "a", ConcurrencyLimitV2Update(active_slots=count))
        assert active(both) == expected


@pytest.mark.parametrize("seconds", [0, 59, 86_401])
def test_a_lease_lasts_a_minute_to_a_day(seconds: float) -> None:
    with pytest.raises(ValidationError):
        v2.LeasedSlotRequest(names=[], slots=1, lease_duration=seconds)
    with pytest.raises(ValidationError):
        v2.LeaseRenewal(lease_duration=seconds)


steps = st.lists(
    st.tuples(st.sampled_from(["take", "lease", "end", "give", "pass"]), st.integers(1, 4)), min_size=1, max_size=25
)


@given(steps=steps, limit=st.integers(1, 5))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_never_more_than_the_limit_and_never_a_slot_lost(
    both: sa.Connection, steps: list[tuple[str, int]], limit: int
) -> None:
    name = f"limit-{new_uuid()}"
    make(both, name, limit)
    opened, leases = 0, dict[UUID, tuple[int, float]]()
    clock = 0.0
    for what, count in steps:
        free = limit - opened - sum(n for n, until in leases.values() if until > clock)
        if what in ("take", "lease"):
            if count > free:
                with pytest.raises((Locked, Invalid)):
                    (take if what == "take" else lease)(both, name, slots=count)
            elif what == "take":
                take(both, name, slots=count)
                opened += count
            else:
                leases[lease(both, name, slots=count, lease_duration=60)] = (count, clock + 60)
        elif what == "end" and leases:
            id = next(iter(leases))
            end(both, id)
            del leases[id]
        elif what == "give":
            give_back(both, name, slots=count)
            opened = max(opened - count, 0)
        elif what == "pass":
            pass_time(both, 25)
            clock += 25
        assert active(both, name) == opened + sum(n for n, until in leases.values() if until > clock)


# -- limits of tags -------------------------------------------------------------------------------------------------


def limit_tag(tx: sa.Connection, tag: str, limit: int) -> Any:
    return v1.create_concurrency_limit(tx, ConcurrencyLimitCreate(tag=tag, concurrency_limit=limit))


def start(tx: sa.Connection, run: int, *tags: str) -> list[str]:
    body = v1.TagSlots(names=list(tags), task_run_id=UUID(int=run))
    return [limit.name for limit in v1.increment_concurrency_limits_v1(tx, body)]


def finish(tx: sa.Connection, run: int, *tags: str) -> None:
    v1.decrement_concurrency_limits_v1(tx, v1.TagSlots(names=list(tags), task_run_id=UUID(int=run)))


def runs(tx: sa.Connection, tag: str) -> list[int]:
    return [id.int for id in v1.read_concurrency_limit_by_tag(tx, tag).active_slots]


def test_a_tag_has_one_limit(both: sa.Connection) -> None:
    made = limit_tag(both, "t", 2)
    changed = limit_tag(both, "t", 3)
    assert (made.status, changed.status, changed.value.id) == (201, 200, made.value.id)
    assert (changed.value.tag, changed.value.concurrency_limit, changed.value.active_slots) == ("t", 3, [])
    assert v1.read_concurrency_limit(both, made.value.id) == v1.read_concurrency_limit_by_tag(both, "t")
    assert v2.read_concurrency_limit_v2(both, "tag:t").limit == 3
    make(both, "not-a-tag")
    assert [limit.tag for limit in v1.read_concurrency_limits(both, v1.ConcurrencyLimitPage())] == ["t"]
    v1.delete_concurrency_limit_by_tag(both, "t")
    v1.delete_concurrency_limit(both, limit_tag(both, "t", 1).value.id)
    for absent in (
        lambda: v1.read_concurrency_limit(both, made.value.id),
        lambda: v1.read_concurrency_limit_by_tag(both, "t"),
        lambda: v1.delete_concurrency_limit(both, made.value.id),
        lambda: v1.delete_concurrency_limit_by_tag(both, "t"),
        lambda: v1.reset_concurrency_limit_by_tag(both, "t", v1.TagSlotOverride()),
    ):
        with pytest.raises(NotFound):
            absent()


def test_a_task_run_holds_a_slot_of_each_of_its_tags_once(both: sa.Connection) -> None:
    limit_tag(both, "t", 2)
    limit_tag(both, "u", 1)
    for _ in range(2):
        assert start(both, 1, "u", "t", "no-limit") == ["t", "u"]
    with pytest.raises(Locked, match="the u tag") as locked:
        start(both, 2, "t", "u")
    assert locked.value.retry_after == 10
    assert runs(both, "t") == [1]
    start(both, 2, "t")
    assert (runs(both, "t"), active(both, "tag:t")) == ([1, 2], 2)
    finish(both, 1, "t", "no-limit")
    assert (runs(both, "t"), runs(both, "u")) == ([2], [1])
    finish(both, 1, "t", "u")
    start(both, 2, "u")
    assert (runs(both, "t"), runs(both, "u")) == ([2], [2])


def test_a_limit_of_none_stops_for_good(both: sa.Connection) -> None:
    limit_tag(both, "t", 0)
    with pytest.raises(Locked, match="never starts") as locked:
        start(both, 1, "t")
    assert locked.value.retry_after is None


def test_who_holds_slots_can_be_overridden(both: sa.Connection) -> None:
    limit_tag(both, "t", 2)
    start(both, 1, "t")
    override = v1.TagSlotOverride(slot_override=[UUID(int=3), UUID(int=4), UUID(int=3)])
    v1.reset_concurrency_limit_by_tag(both, "t", override)
    assert runs(both, "t") == [3, 4]
    v1.reset_concurrency_limit_by_tag(both, "t", v1.TagSlotOverride())
    assert runs(both, "t") == []
    for table in (concurrency_lease, concurrency_slot):
        assert both.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0
