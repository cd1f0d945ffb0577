"""What a flow that returns the states of other runs comes to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prefect._rules.outcomes import combine
from prefect._rules.states import CANCELLED, COMPLETED, CRASHED, FAILED, PAUSED, STATE_TYPES, TERMINAL

types = st.lists(st.sampled_from(sorted(STATE_TYPES)), min_size=1, max_size=8)


@given(types)
def test_it_completes_only_if_all_did(members: list[str]) -> None:
    kind, message = combine(members)
    assert (kind == COMPLETED) == all(member == COMPLETED for member in members)
    assert message


@given(types)
def test_one_cancelled_run_cancels_it(members: list[str]) -> None:
    assert (combine(members)[0] == CANCELLED) == (CANCELLED in members)


@given(types, st.randoms())
def test_the_order_does_not_matter(members: list[str], random: object) -> None:
    shuffled = list(members)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert combine(members) == combine(shuffled)


@given(types)
def test_what_has_not_finished_never_counts_as_completed(members: list[str]) -> None:
    kind, _ = combine(members)
    if any(member not in TERMINAL for member in members):
        assert kind in (FAILED, CANCELLED, PAUSED)


def test_it_says_how_many() -> None:
    assert combine([COMPLETED, FAILED, CRASHED]) == (FAILED, "2/3 states failed.")
    assert combine([COMPLETED, CANCELLED]) == (CANCELLED, "1/2 states cancelled.")
    assert combine([COMPLETED, COMPLETED]) == (COMPLETED, "All states completed.")
