"""Text, intervals, slugs, contexts, time limits, registries."""

from __future__ import annotations

import asyncio
import contextvars
import re
import threading
import time
import uuid
from types import SimpleNamespace
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect._engine.frames import FlowFrame, TaskFrame, current_flow, current_task
from prefect.utilities import math
from prefect.utilities.context import (
    get_flow_run_id,
    get_task_and_flow_run_ids,
    get_task_run_id,
    temporary_context,
)
from prefect.utilities.dispatch import (
    get_dispatch_key,
    get_registry_for_type,
    lookup_type,
    register_base_type,
    register_type,
)
from prefect.utilities.services import critical_service_loop
from prefect.utilities.slugify import slugify
from prefect.utilities.text import fuzzy_match_string, truncated_to
from prefect.utilities.timeout import timeout, timeout_async

# ── text and slugs ──────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.text(max_size=300), st.integers(0, 100))
def test_truncating_never_lengthens(text: str, length: int) -> None:
    short = truncated_to(length, text)
    assert len(short) <= len(text)
    if short != text:
        omitted = re.fullmatch(r"(.*)\.\.\.(\d+) additional characters\.\.\.(.*)", short, re.DOTALL)
        assert omitted
        assert len(omitted[1]) + len(omitted[3]) == length
        assert int(omitted[2]) == len(text) - length
        assert text.startswith(omitted[1])
        assert text.endswith(omitted[3])


def test_truncating() -> None:
    assert truncated_to(40, "abcdefghij" * 30) == (
        "abcdefghijabcdefghij...260 additional characters...abcdefghijabcdefghij"
    )
    assert truncated_to(5, None) == ""


def test_fuzzy_matching() -> None:
    assert fuzzy_match_string("helo", ["world", "hello"]) == "hello"
    assert fuzzy_match_string("zz", ["hello"]) is None


@pytest.mark.parametrize(
    ("text", "options", "slug"),
    [
        ("Hello World! ça va_bien -- x", {}, "hello-world-ca-va-bien-x"),
        ("A" * 50, {"max_length": 10}, "a" * 10),
        ("a.b_c", {"regex_pattern": r"[^a-z.]+"}, "a.b-c"),
        ("__A__", {"lowercase": False}, "A"),
        ("Ünïcode ß", {}, "unicode-ss"),
        ("it's 5,000 &amp; x &#65; &#x42;", {}, "it-s-5000-x-a-b"),
        ("a b", {"separator": "_"}, "a_b"),
        ("the quick fox", {"stopwords": ["the"]}, "quick-fox"),
        ("jumping over it", {"max_length": 10, "word_boundary": True}, "jumping-it"),
        ("jumping over it", {"max_length": 10, "word_boundary": True, "save_order": True}, "jumping"),
        ("10 | 20 %", {"replacements": [["|", "or"], ["%", "percent"]]}, "10-or-20-percent"),
        ("影師 Ünï", {"allow_unicode": True}, "影師-ünï"),
    ],
)
def test_slugs(text: str, options: dict[str, Any], slug: str) -> None:
    assert slugify(text, **options) == slug


@given(st.text(max_size=60), st.integers(1, 20))
def test_slugs_are_made_of_few_characters_and_stay_as_they_are(text: str, length: int) -> None:
    slug = slugify(text, max_length=length)
    assert re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?", slug)
    assert len(slug) <= length
    assert slugify(slug) == slug


# ── intervals ───────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.floats(0.01, 1000), st.floats(0.01, 10))
def test_clamped_intervals_are_near_the_average(average: float, factor: float) -> None:
    drawn = math.clamped_poisson_interval(average, factor)
    lower = math.lower_clamp_multiple(1 + factor) * average
    assert lower * 0.999 <= drawn <= (1 + factor) * average * 1.001


@given(st.floats(0, 1000), st.floats(0, 1000))
def test_bounded_intervals_are_within_their_bounds(one: float, other: float) -> None:
    lower, upper = sorted((one, other))
    assert lower * 0.999 <= math.bounded_poisson_interval(lower, upper) <= upper * 1.001


def test_intervals() -> None:
    assert math.lower_clamp_multiple(2) == pytest.approx(0.4150374992788437)
    assert math.lower_clamp_multiple(60) == 0.0
    assert math.exponential_cdf(2, 3) == pytest.approx(0.486582880967408)
    assert math.poisson_interval(10) >= 0
    with pytest.raises(ValueError, match="greater than 0"):
        math.clamped_poisson_interval(1, 0)


# ── contexts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ids_of_the_current_runs() -> None:
    assert get_task_and_flow_run_ids() == (None, None)
    flow = FlowFrame(None, SimpleNamespace(name="f"), {})  # type: ignore[arg-type]
    task = TaskFrame(None, SimpleNamespace(name="t", retries=0), {})  # type: ignore[arg-type]
    task.flow_run_id = flow.id

    def look() -> tuple[Any, ...]:
        return get_task_run_id(), get_flow_run_id()

    def in_flow() -> tuple[Any, ...]:
        current_flow.set(flow)
        return look()

    def in_task() -> tuple[Any, ...]:
        current_task.set(task)
        return look()

    assert contextvars.copy_context().run(in_flow) == (None, uuid.UUID(flow.id))
    assert contextvars.copy_context().run(in_task) == (uuid.UUID(task.id), uuid.UUID(flow.id))


def test_a_temporary_context() -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    other = contextvars.copy_context()
    other.run(variable.set, 5)
    with temporary_context(other):
        assert variable.get() == 5
    assert variable.get() == 0


# ── time limits ─────────────────────────────────────────────────────────────────────────────────────────────────────


class TooLate(TimeoutError):
    pass


def test_a_time_limit_interrupts_a_blocking_call() -> None:
    with pytest.raises(TooLate, match=r"timed out after 0.02 second"), timeout(0.02, TooLate):
        time.sleep(30)


def test_a_time_limit_in_another_thread() -> None:
    caught = []

    def run() -> None:
        try:
            with timeout(0.02):
                while True:
                    time.sleep(0.001)
        except TimeoutError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert len(caught) == 1


async def test_a_time_limit_of_asynchronous_code() -> None:
    with pytest.raises(TooLate, match=r"timed out after 0.02 second"), timeout_async(0.02, TooLate):
        await asyncio.sleep(30)
    with timeout_async():
        await asyncio.sleep(0)


def test_no_time_limit() -> None:
    with timeout():
        pass
    with timeout(30):
        pass
    with pytest.raises(ValueError, match="subclass of `TimeoutError`"), timeout(1, ValueError):  # type: ignore[arg-type]
        pass


# ── loops ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_loop_bears_passing_errors_and_then_ends() -> None:
    calls: list[int] = []
    printed: list[str] = []

    async def work() -> None:
        calls.append(1)
        raise ConnectionError("refused")

    with pytest.raises(RuntimeError, match="refused"):
        await critical_service_loop(work, interval=0, consecutive=2, backoff=2, printer=printed.append)
    assert len(calls) == 4
    assert any("increased interval" in line for line in printed)
    assert any("ConnectionError: refused" in line for line in printed)


async def test_a_loop_recovers_and_other_errors_end_it() -> None:
    calls: list[int] = []

    async def work() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError
        if len(calls) == 3:
            raise KeyError("ours")

    with pytest.raises(KeyError):
        await critical_service_loop(work, interval=0, printer=lambda *_: None, jitter_range=0.3)
    calls.clear()
    await critical_service_loop(work, interval=0, run_once=True)
    assert calls == [1]


# ── registries ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_subclasses_are_registered() -> None:
    @register_base_type
    class Base:
        @classmethod
        def __dispatch_key__(cls) -> str:
            return cls.__name__.lower()

    class One(Base):
        pass

    class Two(One):
        pass

    assert get_registry_for_type(Two) == {"base": Base, "one": One, "two": Two}
    assert lookup_type(Base, "two") is Two
    assert get_dispatch_key(One()) == "one"
    with pytest.raises(KeyError, match="'three'"):
        lookup_type(Base, "three")

    with pytest.warns(UserWarning, match="dispatch key 'one'"):

        class Other(Base):
            __dispatch_key__ = "one"  # type: ignore[assignment]

    assert lookup_type(Base, "one") is Other

    with pytest.raises(TypeError, match="type int"):

        class Number(Base):
            __dispatch_key__ = 5  # type: ignore[assignment]


def test_models_are_registered_with_the_defaults_of_their_fields() -> None:
    @register_base_type
    class Base(pydantic.BaseModel):
        type: str | None = None

        @classmethod
        def __dispatch_key__(cls) -> str | None:
            return cls.model_fields["type"].default

    class Json(Base):
        type: str | None = "json"

    assert get_registry_for_type(Base) == {"json": Json}


def test_init_subclass_of_the_base_still_runs() -> None:
    seen = []

    @register_base_type
    class Base:
        __dispatch_key__: str | None = None

        def __init_subclass__(cls, flag: int = 0) -> None:
            seen.append((cls.__name__, flag))

    class One(Base, flag=3):
        pass

    assert seen == [("One", 3)]
    assert get_registry_for_type(One) == {}


def test_without_a_registry() -> None:
    class Alone:
        pass

    assert get_registry_for_type(Alone) is None
    assert get_dispatch_key(Alone, allow_missing=True) is None
    with pytest.raises(ValueError, match="'Alone' does not define"):
        get_dispatch_key(Alone)
    with pytest.raises(ValueError, match="No registry found for type 'Alone'"):
        register_type(Alone)
