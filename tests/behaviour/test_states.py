"""States: constructors, predicates, groups, results, and how runs end when something other than an error happens."""

import datetime
import uuid

import pytest

from prefect import flow, task
from prefect.exceptions import CancelledRun, CrashedRun, FailedRun, MissingResult, PausedRun, UnfinishedRun
from prefect.states import (
    AwaitingConcurrencySlot,
    AwaitingRetry,
    Cancelled,
    Cancelling,
    Completed,
    Crashed,
    Failed,
    InfrastructurePending,
    Late,
    Paused,
    Pending,
    Retrying,
    Running,
    Scheduled,
    State,
    StateGroup,
    Submitting,
    Suspended,
    aget_state_exception,
    get_state_exception,
    is_state_iterable,
    raise_state_exception,
)

from .support import Boom, Calls, both

PREDICATES = ("scheduled", "pending", "running", "completed", "failed", "crashed", "cancelled", "cancelling", "paused")

CONSTRUCTORS = [
    (Scheduled, "SCHEDULED", "Scheduled", "scheduled", False),
    (Late, "SCHEDULED", "Late", "scheduled", False),
    (AwaitingRetry, "SCHEDULED", "AwaitingRetry", "scheduled", False),
    (AwaitingConcurrencySlot, "SCHEDULED", "AwaitingConcurrencySlot", "scheduled", False),
    (Pending, "PENDING", "Pending", "pending", False),
    (InfrastructurePending, "PENDING", "InfrastructurePending", "pending", False),
    (Submitting, "PENDING", "Submitting", "pending", False),
    (Running, "RUNNING", "Running", "running", False),
    (Retrying, "RUNNING", "Retrying", "running", False),
    (Completed, "COMPLETED", "Completed", "completed", True),
    (Failed, "FAILED", "Failed", "failed", True),
    (Crashed, "CRASHED", "Crashed", "crashed", True),
    (Cancelled, "CANCELLED", "Cancelled", "cancelled", True),
    (Cancelling, "CANCELLING", "Cancelling", "cancelling", False),
    (Paused, "PAUSED", "Paused", "paused", False),
    (Suspended, "PAUSED", "Suspended", "paused", False),
]


@pytest.mark.parametrize("make, kind, name, predicate, final", CONSTRUCTORS, ids=[row[2] for row in CONSTRUCTORS])
def test_constructors_and_predicates(make, kind, name, predicate, final):
    state = make(message="words")
    assert isinstance(state, State)
    assert (state.type.value, state.name, state.message) == (kind, name, "words")
    assert isinstance(state.id, uuid.UUID)
    assert state.timestamp.tzinfo is not None
    assert {p for p in PREDICATES if getattr(state, f"is_{p}")()} == {predicate}
    assert state.is_final() is final


def test_constructor_details():
    assert Completed().message is None and Completed().data is None
    assert Completed(data=1).data == 1
    assert Completed(name="Mine").name == "Mine"
    when = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    assert Scheduled(scheduled_time=when).state_details.scheduled_time == when
    assert AwaitingRetry(scheduled_time=when).state_details.scheduled_time == when
    assert Scheduled().state_details.scheduled_time is not None
    assert Paused(timeout_seconds=60).state_details.pause_timeout > datetime.datetime.now(datetime.UTC)
    assert Suspended(timeout_seconds=60).state_details.pause_reschedule is True


@pytest.mark.parametrize(
    "state, text",
    [
        (Completed(), "Completed()"),
        (Completed(message="m"), "Completed('m')"),
        (Completed(name="Mine"), "Mine(type=COMPLETED)"),
        (Failed(name="TimedOut", message="m"), "TimedOut('m', type=FAILED)"),
        (Running(), "Running()"),
        (Retrying(), "Retrying(type=RUNNING)"),
    ],
)
def test_text_of_a_state(state, text):
    assert str(state) == text


def test_repr_of_a_state():
    assert repr(Completed(data=1, message="m")) == "Completed(message='m', type=COMPLETED, result=1)"


def test_copies_get_their_own_identity():
    state = Completed(message="m", data=3)
    copy = state.fresh_copy()
    assert (copy.message, copy.type, copy.data) == ("m", state.type, 3)
    assert copy.id != state.id
    assert state.model_copy(update={"name": "Other"}).name == "Other"
    assert state.name == "Completed"


def test_states_compare_by_what_they_say():
    first, second = Completed(message="m"), Completed(message="m")
    assert first == second or first.id != second.id
    assert Completed() != Failed()


@both
async def test_result_of_states():
    assert await Completed(data=3).aresult() == 3
    assert await Completed(data=[1]).aresult() == [1]
    with pytest.raises(FailedRun, match="no"):
        await Failed(message="no").aresult()
    with pytest.raises(Boom):
        await Failed(data=Boom()).aresult()
    assert isinstance(await Failed(data=Boom()).aresult(raise_on_failure=False), Boom)
    with pytest.raises(CrashedRun, match="hit"):
        await Crashed(message="hit").aresult()
    with pytest.raises(CancelledRun, match="stop"):
        await Cancelled(message="stop").aresult()
    with pytest.raises(PausedRun):
        await Paused().aresult()
    for unfinished in (Pending(), Running(), Scheduled()):
        with pytest.raises(UnfinishedRun):
            await unfinished.aresult()


@both
async def test_completed_without_data_has_no_result():
    with pytest.raises(MissingResult):
        await Completed().aresult()


async def test_names_without_a_prefix_are_awaitable_in_async_code():
    """The sync name dispatches on its context: in a coroutine it gives something to await."""
    assert isinstance(await get_state_exception(Failed(data=Boom("x"))), Boom)
    assert isinstance(await aget_state_exception(Failed(message="m")), FailedRun)
    with pytest.raises(Boom):
        await raise_state_exception(Failed(data=Boom()))

    @flow
    async def parent():
        return 1

    state = await parent(return_state=True)
    assert await state.result() == 1
    assert await state.aresult() == 1


def test_exceptions_of_states():
    assert isinstance(get_state_exception(Failed(data=Boom("x"))), Boom)
    assert str(get_state_exception(Failed(message="m"))) == "m"
    assert isinstance(get_state_exception(Crashed(message="m")), CrashedRun)
    assert str(get_state_exception(Failed())) == "Run failed."
    with pytest.raises(Boom):
        raise_state_exception(Failed(data=Boom()))
    assert raise_state_exception(Completed()) is None
    inner = Failed(data=Boom("inner"))
    assert isinstance(get_state_exception(Failed(data=inner)), Boom)
    assert isinstance(get_state_exception(Failed(data=[Completed(), inner])), Boom)


def test_state_iterables():
    one = Completed()
    assert is_state_iterable([one]) and is_state_iterable((one,)) and is_state_iterable({one})
    assert not is_state_iterable([])
    assert not is_state_iterable(one)
    assert not is_state_iterable([one, 1])
    assert not is_state_iterable({"a": one})


def test_state_groups():
    group = StateGroup([Completed(), Completed(), Failed(), Crashed(), Cancelled(), Running()])
    assert group.fail_count == 2
    assert group.any_failed() and group.any_cancelled() and not group.any_paused()
    assert not group.all_completed() and not group.all_final()
    assert StateGroup([Completed()]).all_completed() and StateGroup([Completed(), Failed()]).all_final()
    assert StateGroup([Completed(), Paused()]).any_paused()
    assert group.counts_message() == (
        "total=6, 'COMPLETED'=2, 'FAILED'=1, 'CRASHED'=1, 'CANCELLED'=1, 'RUNNING'=1"
    ) or group.counts_message().startswith("total=6")


# --- runs that do not end by a return or an error -------------------------------------------------


class Ended(BaseException):
    """Neither an error nor one of the interpreter's own."""


ENDINGS = {
    "interrupt": (KeyboardInterrupt, KeyboardInterrupt()),
    "exit": (SystemExit, SystemExit(3)),
    "exit zero": (SystemExit, SystemExit(0)),
    "own": (Ended, Ended("words")),
}


@pytest.mark.parametrize("label", ENDINGS)
@pytest.mark.parametrize("kind", [flow, task])
def test_base_exceptions_crash_the_run_and_go_on(label, kind, calls: Calls):
    error_type, error = ENDINGS[label]

    def hook(thing, run, state):
        calls((state.type.value, state.name, state.message))

    options = {"on_crashed": [hook]} if kind is flow else {}

    @kind(**options)
    def ends():
        raise error

    with pytest.raises(error_type):
        ends()
    if kind is flow:
        assert [call[:2] for call in calls] == [("CRASHED", "Crashed")]


@both
async def test_cancelled_run_error_inside_a_flow():
    @task
    async def cancelled():
        raise CancelledRun("stop")

    @flow
    async def parent():
        return (await cancelled(return_state=True)).type.value

    assert await parent() in ("FAILED", "CANCELLED")


@both
async def test_errors_that_look_like_control_flow_are_just_errors():
    @task
    async def stops():
        raise StopIteration

    @flow
    async def parent():
        return (await stops(return_state=True)).type.value

    assert await parent() == "FAILED"


@both
async def test_unpicklable_errors_still_reach_the_caller():
    class Odd(Exception):
        def __init__(self, first, second):
            super().__init__(first)
            self.lock = __import__("threading").Lock()

    @task
    async def bad():
        raise Odd(1, 2)

    @flow
    async def parent():
        await bad()

    with pytest.raises(Odd):
        await parent()
