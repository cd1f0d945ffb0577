"""Time limits: on the main thread, on others, in event loops; what they leave behind (nothing)."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from prefect import flow, task
from prefect._engine import timeouts
from prefect._engine.timeouts import AsyncTimeout, SyncTimeout

# the limit of the tests themselves must not use the timer that they test
pytestmark = pytest.mark.timeout(60, method="thread")
needs_alarm = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs SIGALRM")


class Inner(TimeoutError): ...


class Outer(TimeoutError): ...


def busy(seconds: float) -> None:
    """Run Python code for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@pytest.fixture
def alarms() -> Iterator[list[float]]:
    """A SIGALRM handler of the user's, and when it was called."""
    called: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda signum, frame: called.append(time.monotonic()))
    yield called
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def on_thread(body: Callable[[], Any]) -> Any:
    """What `body` gives on another thread; raises what it raises."""
    outcome: list[Any] = []

    def target() -> None:
        try:
            outcome.append((True, body()))
        except BaseException as exc:
            outcome.append((False, exc))

    thread = threading.Thread(target=target)
    thread.start()
    thread.join(20)
    assert outcome, "the thread did not end"
    ok, value = outcome[0]
    if ok:
        return value
    raise value


@needs_alarm
class TestMainThread:
    def test_a_blocking_call_is_cut_short(self) -> None:
        began = time.monotonic()
        with pytest.raises(Inner, match=r"0\.02 second"), SyncTimeout(0.02, Inner):
            time.sleep(10)
        assert time.monotonic() - began < 9

    def test_in_time_nothing_happens(self) -> None:
        with SyncTimeout(10, Inner):
            pass
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)

    def test_the_handler_of_the_user_is_back_afterwards(self, alarms: list[float]) -> None:
        handler = signal.getsignal(signal.SIGALRM)
        with SyncTimeout(10, Inner):
            assert signal.getsignal(signal.SIGALRM) is not handler
        assert signal.getsignal(signal.SIGALRM) is handler
        with pytest.raises(Inner), SyncTimeout(0.01, Inner):
            time.sleep(5)
        assert signal.getsignal(signal.SIGALRM) is handler
        assert alarms == []

    def test_a_timer_of_the_user_goes_on(self, alarms: list[float]) -> None:
        began = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.08)
        with pytest.raises(Inner), SyncTimeout(0.02, Inner):
            time.sleep(5)
        while not alarms:
            signal.pause()
        assert 0.07 < alarms[0] - began < 1

    def test_a_timer_of_the_user_that_comes_first_comes_first(self, alarms: list[float]) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(Inner), SyncTimeout(0.1, Inner):
            time.sleep(5)
        assert len(alarms) == 1
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0

    def test_a_repeating_timer_of_the_user_keeps_its_interval(self, alarms: list[float]) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        with SyncTimeout(10, Inner):
            while len(alarms) < 3:
                busy(0.001)
        rest, interval = signal.getitimer(signal.ITIMER_REAL)
        assert interval == pytest.approx(0.02, abs=0.005)
        assert rest > 0
        while len(alarms) < 5:
            signal.pause()

    def test_the_inner_of_two_limits(self) -> None:
        with pytest.raises(Outer), SyncTimeout(0.08, Outer):
            with pytest.raises(Inner), SyncTimeout(0.02, Inner):
                time.sleep(5)
            time.sleep(5)

    def test_the_outer_of_two_limits(self) -> None:
        with pytest.raises(Outer), SyncTimeout(0.02, Outer), SyncTimeout(5, Inner):
            time.sleep(5)
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)

    def test_code_that_swallows_the_outer_still_meets_the_inner(self) -> None:
        with SyncTimeout(0.02, Outer), pytest.raises(Inner), SyncTimeout(0.06, Inner):
            with pytest.raises(Outer):
                time.sleep(5)
            time.sleep(5)

    def test_the_end_of_the_block_races_with_the_limit_and_leaves_nothing(self, alarms: list[float]) -> None:
        handler = signal.getsignal(signal.SIGALRM)
        timed_out = 0
        for number in range(2000):
            limit = 20e-6 + number % 50 * 1e-6
            try:
                with SyncTimeout(limit, Inner):
                    busy(40e-6)
            except Inner:
                timed_out += 1
            # whatever is still to come, comes here, where nothing expects it
            assert signal.getsignal(signal.SIGALRM) is handler
            assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        assert timed_out > 0
        assert alarms == []

    def test_a_limit_that_is_over_when_its_block_is_left_is_told_or_not_but_always_taken_down(
        self, alarms: list[float]
    ) -> None:
        """The signal comes in while the block is being left."""
        handler = signal.getsignal(signal.SIGALRM)
        limit = SyncTimeout(10, Inner)
        limit.__enter__()
        frame = _frame_of(limit.__exit__)
        fire: Any = signal.getsignal(signal.SIGALRM)
        fire(signal.SIGALRM, frame)  # as the interpreter calls it, before the first line of __exit__
        limit.__exit__(None, None, None)
        assert signal.getsignal(signal.SIGALRM) is handler

    def test_a_signal_while_another_one_is_seen_to_is_seen_to_later(self, alarms: list[float]) -> None:
        """The other one may have come while the block was being left: an exception would keep it from being left."""
        handler = signal.getsignal(signal.SIGALRM)
        limit = SyncTimeout(10, Inner)
        limit.__enter__()
        fire: Any = signal.getsignal(signal.SIGALRM)
        fire(signal.SIGALRM, _frame_of(fire, 2))
        limit.__exit__(None, None, None)
        assert signal.getsignal(signal.SIGALRM) is handler
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)

    def test_limits_nest_under_the_race(self, alarms: list[float]) -> None:
        handler = signal.getsignal(signal.SIGALRM)
        for number in range(500):
            try:
                with SyncTimeout(30e-6 + number % 40 * 1e-6, Outer), SyncTimeout(30e-6 + number % 37 * 1e-6, Inner):
                    busy(40e-6)
            except (Inner, Outer):
                pass
            assert signal.getsignal(signal.SIGALRM) is handler
            assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def _frame_of(fn: Any, arguments: int = 3) -> FrameType:
    """A frame of a function, as the handler of a signal sees it that comes before the first line."""

    class Found(Exception): ...

    frames: list[FrameType] = []

    def trace(frame: FrameType, event: str, arg: Any) -> None:
        if frame.f_code is fn.__func__.__code__ and not frames:
            frames.append(frame)
            raise Found

    import sys

    sys.settrace(trace)
    try:
        fn(*[None] * arguments)
    except Found:
        pass
    finally:
        sys.settrace(None)
    return frames[0]


class TestOtherThread:
    def test_python_code_is_interrupted(self) -> None:
        def body() -> None:
            with SyncTimeout(0.02, Inner):
                busy(10)

        with pytest.raises(Inner):
            on_thread(body)

    def test_code_that_swallows_it_goes_on(self) -> None:
        def body() -> str:
            with SyncTimeout(0.01, Inner):
                try:
                    busy(10)
                except Inner:
                    return "swallowed"
            return "not reached"

        assert on_thread(body) == "swallowed"

    def test_the_end_of_the_block_races_with_the_limit_and_nothing_strays(self) -> None:
        def body() -> int:
            timed_out = 0
            for number in range(2000):
                try:
                    with SyncTimeout(20e-6 + number % 60 * 1e-6, Inner):
                        busy(50e-6)
                except Inner:
                    timed_out += 1
                sum(range(20))  # where a stray exception would come out
            busy(0.05)
            return timed_out

        assert on_thread(body) > 0

    def test_limits_that_were_kept_do_not_pile_up(self) -> None:
        def body() -> None:
            for _ in range(3000):
                with SyncTimeout(3600, Inner):
                    pass

        on_thread(body)
        gc.collect()
        assert len(timeouts._watcher._heap) < 500


class TestAsync:
    async def test_an_await_is_cut_short(self) -> None:
        with pytest.raises(Inner, match=r"0\.01 second"):
            async with AsyncTimeout(0.01, Inner):
                await asyncio.sleep(10)

    async def test_a_timeout_of_the_users_own_is_not_mistaken_for_it(self) -> None:
        with pytest.raises(TimeoutError) as caught:
            async with AsyncTimeout(10, Inner):
                raise TimeoutError("mine")
        assert type(caught.value) is TimeoutError
        assert str(caught.value) == "mine"

    async def test_a_cancellation_from_outside_is_one(self) -> None:
        async def body() -> None:
            async with AsyncTimeout(10, Inner):
                await asyncio.sleep(10)

        running = asyncio.ensure_future(body())
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    async def test_the_inner_and_the_outer(self) -> None:
        with pytest.raises(Outer):
            async with AsyncTimeout(0.05, Outer):
                with pytest.raises(Inner):
                    async with AsyncTimeout(0.01, Inner):
                        await asyncio.sleep(10)
                await asyncio.sleep(10)


class TestRuns:
    def test_a_task_in_a_flow_on_the_main_thread(self, home: Path, alarms: list[float]) -> None:
        @task(timeout_seconds=0.02)
        def slow() -> None:
            time.sleep(10)

        @flow(timeout_seconds=30)
        def main() -> str:
            return slow(return_state=True).name

        handler = signal.getsignal(signal.SIGALRM)
        assert main() == "TimedOut"
        assert signal.getsignal(signal.SIGALRM) is handler

    def test_a_submitted_task_and_its_neighbours(self, home: Path) -> None:
        @task(timeout_seconds=0.02)
        def slow() -> None:
            busy(20)

        @task(timeout_seconds=30)
        def quick(number: int) -> int:
            return number

        @flow
        def main() -> Any:
            limited = slow.submit()
            others = quick.map(range(50))
            limited.wait()
            return [limited.state.name, *others.result()]

        assert main() == ["TimedOut", *range(50)]

    def test_a_flow_that_runs_out_of_time_in_a_task(self, home: Path) -> None:
        @task
        def slow() -> None:
            time.sleep(10)

        @flow(timeout_seconds=0.05)
        def main() -> None:
            slow()

        state = main(return_state=True)
        assert (state.type.value, state.name) == ("FAILED", "TimedOut")

    async def test_an_async_flow_and_task(self, home: Path) -> None:
        @task(timeout_seconds=0.02)
        async def slow() -> None:
            await asyncio.sleep(10)

        @flow(timeout_seconds=30)
        async def main() -> str:
            return (await slow(return_state=True)).name

        assert await main() == "TimedOut"

    def test_a_timeout_may_be_retried(self, home: Path) -> None:
        calls: list[int] = []

        @task(timeout_seconds=0.05, retries=1)
        def slow() -> str:
            calls.append(1)
            if len(calls) == 1:
                time.sleep(10)
            return "second"

        @flow
        def main() -> str:
            return slow()

        assert main() == "second"


def limited(seconds: float) -> None:
    with SyncTimeout(seconds, Inner):
        busy(30)


@needs_alarm
@pytest.mark.parametrize("place", [lambda body: body(), on_thread])
@pytest.mark.parametrize(("seconds", "said"), [(0.05, "0.05"), (0.0512345, "0.051"), (1 / 16, "0.062")])
def test_the_error_says_after_how_long(place: Callable[..., Any], seconds: float, said: str) -> None:
    with pytest.raises(Inner, match=rf"^Scope timed out after {said} second\(s\)\.$"):
        place(lambda: limited(seconds))


def test_an_error_of_the_same_kind_from_inside_keeps_its_words() -> None:
    def body() -> None:
        with SyncTimeout(30, Inner):
            raise Inner

    for place in (lambda body: body(), on_thread):
        with pytest.raises(Inner) as caught:
            place(body)
        assert caught.value.args == ()


def test_a_generator_that_is_late_says_so_in_plain_numbers() -> None:
    @task(timeout_seconds=0.3)
    def slow() -> Iterator[int]:
        yield 1
        busy(30)

    with pytest.raises(TimeoutError) as caught:
        list(slow())
    assert len(str(caught.value)) <= len("Scope timed out after 0.299 second(s).")
