"""What flows and tasks do alike with their options."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any, Literal

from prefect._schemas.naming import short_enough
from prefect.exceptions import InvalidNameError, ReservedArgumentError
from prefect.utilities.annotations import NotSet

Kind = Literal["function", "classmethod", "staticmethod"]

_RESERVED = ("return_state", "wait_for")


def function_of(fn: Any, noun: str) -> tuple[Any, Kind]:
    """The function itself and what wrapped it.

    Raises:
        TypeError: it cannot be called.
    """
    if isinstance(fn, classmethod):
        return fn.__func__, "classmethod"
    if isinstance(fn, staticmethod):
        return fn.__func__, "staticmethod"
    if not callable(fn):
        raise TypeError(f"'fn' must be callable: a {noun} is made of a function, not of {type(fn).__name__} {fn!r}.")
    return fn, "function"


_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200  # CO_* flags of a code object


def nature_of(fn: Any) -> tuple[bool, bool]:
    """Whether a function is asynchronous, and whether it is a generator.

    Asks the code object, as `inspect` does; importing that would take a quarter of the time of importing us.
    """
    while isinstance(fn, functools.partial):
        fn = fn.func
    fn = getattr(fn, "__func__", fn)
    if not isinstance(fn, FunctionType):
        fn = getattr(getattr(type(fn), "__call__", None), "__func__", getattr(type(fn), "__call__", None))  # noqa: B004
    code = getattr(fn, "__code__", None)
    flags = code.co_flags if code is not None else 0
    marked = getattr(fn, "_is_coroutine_mark", None) is not None  # inspect.markcoroutinefunction, Python 3.12
    return bool(flags & (_COROUTINE | _ASYNC_GENERATOR)) or marked, bool(flags & (_GENERATOR | _ASYNC_GENERATOR))


def docstring_of(fn: Any) -> str | None:
    """The function's own docstring, without its indentation."""
    doc = getattr(fn, "__doc__", None)
    if not doc or "\n" not in doc:
        return doc.strip() if doc else None
    first, *rest = doc.expandtabs().splitlines()
    margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    return "\n".join([first.lstrip(), *(line[margin:] for line in rest)]).strip()


def check_length(name: str, kind: str) -> None:
    """Refuse a name that is longer than any API takes.

    Raises:
        InvalidNameError: it is too long.
    """
    try:
        short_enough(name)
    except ValueError as exc:
        raise InvalidNameError(f"The name of a {kind} {exc}: {name[:60]!r}...") from None


def callable_name(fn: Callable[..., Any]) -> str:
    """The name of a function, or of the class of a callable object."""
    if isinstance(fn, functools.partial):
        return callable_name(fn.func)
    return getattr(fn, "__name__", None) or type(fn).__name__


def refuse_reserved(names: tuple[str, ...], noun: str) -> None:
    """Raise for parameters whose names the call of a flow or task uses itself.

    Raises:
        ReservedArgumentError: one of them is among `names`.
    """
    for name in _RESERVED:
        if name in names:
            raise ReservedArgumentError(f"{name!r} is a reserved argument name and cannot be used in {noun} functions.")


def checked_run_name(name: str | Callable[..., str] | None, option: str) -> str | Callable[..., str] | None:
    """What makes the names of runs, checked.

    Raises:
        TypeError: it is neither a text nor callable.
    """
    if name is not None and not isinstance(name, str) and not callable(name):
        raise TypeError(f"Expected string or callable for '{option}'; got {type(name).__name__} instead.")
    return name


class Changes:
    """Some options of a flow or task that is to be made like another one.

    Args:
        values: the options by name; `NotSet`, and None for those where it means nothing, keep what the other one has.
        none_is_a_choice: the options for which None means something.
    """

    def __init__(self, values: dict[str, Any], none_is_a_choice: frozenset[str]) -> None:
        self.values = values
        self._none_is_a_choice = none_is_a_choice

    def chosen(self, option: str, mine: Any) -> Any:
        """What an option is to be, where it is `mine` now."""
        value = self.values.get(option, NotSet)
        return mine if value is NotSet or (value is None and option not in self._none_is_a_choice) else value

    def merged(self, made: Any, options: Iterable[str], hooks: Iterable[str]) -> dict[str, Any]:
        """These options and hooks as they are to be, from a flow or task `made` with what they are now."""
        merged = {option: self.chosen(option, getattr(made, _KEPT_AS.get(option, option))) for option in options}
        for hook in hooks:
            merged[hook] = self.chosen(hook, list(getattr(made, f"{hook}_hooks")))
        return merged


# the properties of these names ask the settings where nothing is said
_KEPT_AS = {"retries": "_retries", "retry_delay_seconds": "_retry_delay_seconds"}


def count_of(retries: Any, owner: str) -> int | None:
    """A number of retries, checked.

    Raises:
        TypeError: it is not a whole number.
    """
    if retries is None or type(retries) is int:
        return retries
    if hasattr(retries, "__index__"):
        return retries.__index__()
    if isinstance(retries, float) and retries.is_integer():
        return int(retries)
    raise TypeError(f"Expected a whole number for 'retries'; got {type(retries).__name__} {retries!r} (of {owner!r}).")


def limit_of(seconds: Any, owner: str) -> float | None:
    """A time limit in seconds, checked; None and 0 are none.

    Raises:
        TypeError: it is not a number.
    """
    return float(_checked_seconds(seconds, "timeout_seconds", owner)) if seconds else None


def delays_of(delays: Any, owner: str) -> Any:
    """The seconds before a retry, or a list of them, checked.

    Raises:
        TypeError: there is something among them that is not a number.
    """
    if isinstance(delays, (list, tuple)):
        return [_checked_seconds(delay, "retry_delay_seconds", owner) for delay in delays]
    return None if delays is None else _checked_seconds(delays, "retry_delay_seconds", owner)


def _checked_seconds(value: Any, option: str, owner: str) -> Any:
    if hasattr(value, "__float__") or hasattr(value, "__index__"):
        return value
    hint = ": give its `total_seconds()`" if hasattr(value, "total_seconds") else ""
    raise TypeError(
        f"Expected a number of seconds for {option!r}; got {type(value).__name__} {value!r} (of {owner!r}){hint}."
    )


def hooks_of(hooks: Any, option: str, owner: str) -> list[Any]:
    """A list of state hooks, checked.

    Raises:
        TypeError: it is not a list, or one of them cannot be called.
    """
    if hooks is None:
        return []
    if not isinstance(hooks, (list, tuple)):
        raise TypeError(
            f"Expected iterable for '{option}'; got {type(hooks).__name__} instead. Please provide a list of hooks to "
            f"'{option}', for example {option}=[my_hook] (of {owner!r})."
        )
    for hook in hooks:
        if not callable(hook):
            raise TypeError(
                f"Expected callables in '{option}'; got {type(hook).__name__} instead. Please provide a list of "
                f"hooks to '{option}', for example {option}=[my_hook] (of {owner!r})."
            )
    return list(hooks)


def policy_json(retries: int | None, delays: Any, jitter: float | None = None) -> str:
    """The retry options as recorded with each run."""
    listed = isinstance(delays, (list, tuple))
    delay = f"[{', '.join(str(d) for d in delays)}]" if listed else str(delays or 0)
    return (
        f'{{"retries": {retries or 0}, "retry_delay": {delay}, '
        f'"retry_jitter_factor": {jitter if jitter is not None else "null"}}}'
    )


def task_key(fn: Callable[..., Any]) -> str:
    """Tells tasks apart across runs and processes: the function's name and a short hash of where it is defined."""
    place = f"{getattr(fn, '__module__', '')}.{getattr(fn, '__qualname__', type(fn).__qualname__)}"
    if place.startswith("__main__."):
        place += getattr(getattr(fn, "__code__", None), "co_filename", "")
    return f"{callable_name(fn)}-{zlib.crc32(place.encode()):08x}"
