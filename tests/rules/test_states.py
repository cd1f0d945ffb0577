"""The engine's own states."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from prefect._rules.states import GONE, STATE_TYPES, TERMINAL, RunState, Value, awaiting_retry

texts = st.none() | st.text(max_size=20)


@given(st.sampled_from(sorted(STATE_TYPES)), texts, texts, st.integers(), st.dictionaries(st.text(), st.integers()))
def test_a_state_survives_pickling(
    kind: str, name: str | None, message: str | None, timestamp: int, details: dict[str, int]
) -> None:
    state = RunState(kind, name, message, Value([1]), details, timestamp)
    copy = pickle.loads(pickle.dumps(state))
    for field in ("type", "name", "message", "details", "timestamp", "id"):
        assert getattr(copy, field) == getattr(state, field)
    assert copy.data.value == [1]


@given(st.sampled_from(sorted(STATE_TYPES)))
def test_it_is_final_by_its_type_and_named_after_it(kind: str) -> None:
    state = RunState(kind)
    assert state.is_final == (kind in TERMINAL)
    assert state.name.upper() == kind


def test_each_state_has_an_id_and_no_state_shares_details() -> None:
    first, second = RunState("RUNNING"), RunState("RUNNING")
    assert first.id != second.id
    assert awaiting_retry(5).details == {"scheduled_time": 5}
    assert second.details == {}


def test_a_value_that_is_gone_stays_gone() -> None:
    assert pickle.loads(pickle.dumps(Value(GONE))).value is GONE
    assert Value(1).stored_reference() is None
