"""The queue by itself: what can be claimed, in which order, and whose writes count."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefect._clock import now_us
from prefect._engine.recorder import get_recorder
from prefect._store import deferred_queue as queue
from prefect._store.deferred_queue import ClaimLost


@pytest.fixture
def commit(jobs):
    return get_recorder().writer.commit


def claim(commit, jobs, limit=10, owner="somebody", name="add"):
    key = getattr(jobs, name).task_key
    return commit(lambda connection: queue.claim(connection, owner, [key], [], limit))


def test_runs_are_claimed_in_the_order_in_which_they_are_due(jobs, commit):
    ids = [str(jobs.add.delay(n).task_run_id) for n in range(5)]
    assert [each.id for each in claim(commit, jobs, 2)] == ids[:2]
    assert [each.id for each in claim(commit, jobs, 10)] == ids[2:]
    assert claim(commit, jobs) == []


def test_only_runs_of_the_tasks_asked_for_are_claimed(jobs, commit):
    jobs.fail.delay("x")
    assert claim(commit, jobs) == []
    assert commit(lambda c: queue.next_due(c, [jobs.add.task_key], [])) is None
    assert commit(lambda c: queue.next_due(c, [jobs.fail.task_key], [])) <= now_us()


def test_a_run_that_is_given_back_can_be_had_again_when_it_is_due(jobs, commit):
    jobs.add.delay(1)
    (first,) = claim(commit, jobs)
    later = now_us() + 60_000_000
    commit(lambda c: queue.give_back(c, first, later))
    assert claim(commit, jobs) == []
    assert commit(lambda c: queue.next_due(c, [jobs.add.task_key], [])) == later


def test_a_claim_that_is_lost_cannot_be_written_with(jobs, commit):
    jobs.add.delay(1)
    (first,) = claim(commit, jobs)
    commit(lambda c: queue.release(c, first))
    (second,) = claim(commit, jobs)
    assert second.token == first.token + 1
    commit(lambda c: queue.check(c, second))
    with pytest.raises(ClaimLost, match="was taken away"):
        commit(lambda c: queue.check(c, first))


def test_a_deleted_run_leaves_the_queue(jobs, commit):
    jobs.add.delay(1)
    (first,) = claim(commit, jobs)
    commit(lambda c: c.execute("DELETE FROM task_run WHERE id = ?", (first.id,)))
    with pytest.raises(ClaimLost):
        commit(lambda c: queue.check(c, first))


def test_a_run_is_not_claimed_before_those_it_waits_for_have_ended(jobs, commit):
    first = jobs.add.delay(1)
    jobs.add.delay(first)
    (claimed,) = claim(commit, jobs)
    assert claimed.id == str(first.task_run_id)
    assert claim(commit, jobs) == []
    assert commit(lambda c: queue.end(c, claimed.id)) is True
    assert len(claim(commit, jobs)) == 1


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    retries=st.integers(0, 3),
    deaths=st.lists(st.tuples(st.sampled_from(["before it began", "while it ran"]), st.booleans()), max_size=8),
)
def test_what_becomes_of_a_run_whose_workers_die(jobs, commit, retries, deaths):
    """It begins at most `retries + 1` times, and is given up when three in a row did not get to begin it.

    It makes no difference whether somebody who only looks at the database is the first to find out.
    """
    task = jobs.add.with_options(retries=retries)
    run_id = str(task.delay(1).task_run_id)
    begun = unbegun = 0
    for death, looked in deaths:
        taken = commit(lambda c: queue.claim_one(c, "dying", run_id))
        assert taken is not None
        if death == "while it ran":
            begun, unbegun = begun + 1, 0
            commit(lambda c: c.execute(
                "UPDATE task_run SET state_type = 'RUNNING', run_count = run_count + 1 WHERE id = ?", (run_id,)
            ))  # fmt: skip
        else:
            unbegun += 1
        given_up = begun > retries or unbegun == queue.MAX_UNBEGUN_CLAIMS
        if looked:
            found = commit(lambda c: queue.reclaim(c, [("dying", 1)], tidy=False))
            assert (found.ended, found.parameters, found.queued) == ([], [], not given_up)
        outcome = commit(lambda c: queue.reclaim(c, [("dying", 1)]))
        assert bool(outcome.ended) == bool(outcome.parameters) == given_up
        assert outcome.queued == (not given_up and not looked)
        if given_up:
            (state,) = commit(lambda c: c.execute("SELECT state_type FROM task_run WHERE id = ?", (run_id,)).fetchone())
            assert state == "CRASHED"
            return
