"""How a scenario is written, carried out and written down.

A scenario is a generator: it yields requests, as `(method, path, body)`, and is sent the answers. A fourth member is a
*view*: what of the answer is compared, where the whole of it says more than the scenario is about. A fifth is a condition:
the request is repeated until its answer fulfils it, for what a server does a moment later.

    def flows() -> Script:
        made = yield POST, "/flows/", {"name": "f"}
        yield GET, f"/flows/{made['id']}", None
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from conformance.sockets import RECEIVE, VERBS

Request = tuple[Any, ...]
Script = Generator[Request, Any, None]
Scenario = Callable[[], Script]
Send = Callable[[str, str, Any], tuple[int, Any]]
"""Sends a request and returns the status and the JSON of the answer."""

GET, POST, PUT, PATCH, DELETE = "GET", "POST", "PUT", "PATCH", "DELETE"
NOBODY = "00000000-0000-0000-0000-000000000000"
"""An id that nothing has."""
YESTERDAY, TODAY, FAR = "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", "2099-01-01T00:00:00Z"

_IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?<=page-token=)[^&]{20,}")
_DEADLINE_SECONDS = 60


@dataclass(frozen=True)
class Step:
    """A request that was sent, and what was answered."""

    name: str
    """The request with its ids left out, or the step and the name of a websocket; `#2` and so on where it comes again."""
    method: str
    path: str
    status: int
    answer: Any
    """What is compared: the JSON of a success, or a view of it; of a request that did not fit, where it did not."""


def play(scenario: Scenario, send: Send, talk: Callable[..., tuple[int, Any]] | None = None) -> list[Step]:
    """Carry out a scenario.

    Args:
        scenario: what is asked.
        send: sends requests.
        talk: carries out the steps that are about websockets (`conformance.sockets`).
    """
    script = scenario()
    steps: list[Step] = []
    seen: dict[str, int] = {}
    answer: Any = None
    try:
        while True:
            request = script.send(answer)
            method, path, body, view, ready = (*request, None, None, None)[:5]
            if talk is not None and method in VERBS:
                status, answer = talk(*request[: 2 if method == RECEIVE else None])
                view = body if method == RECEIVE else None
            else:
                status, answer = _send(send, method, path, body, ready)
            plain = f"{method} {_IDS.sub('*', path)}"
            seen[plain] = seen.get(plain, 0) + 1
            name = plain if seen[plain] == 1 else f"{plain} #{seen[plain]}"
            steps.append(Step(name, method, path, status, _shown(status, answer, view)))
    except StopIteration:
        return steps
    except Exception as exc:
        raise AssertionError(f"{scenario.__name__} cannot go on after {steps[-1]}") from exc


def _send(send: Send, method: str, path: str, body: Any, ready: Callable[[Any], bool] | None) -> tuple[int, Any]:
    end = time.monotonic() + _DEADLINE_SECONDS
    while True:
        status, answer = send(method, path, body)
        if ready is None or (status < 400 and ready(answer)):
            return status, answer
        assert time.monotonic() < end, f"{method} {path} has not become ready: {status} {answer}"
        time.sleep(0.05)  # between two looks, until the deadline


def _shown(status: int, answer: Any, view: Callable[[Any], Any] | None) -> Any:
    if status == 422 and isinstance(answer, dict) and isinstance(answer.get("exception_detail"), list):
        return sorted({".".join(map(str, fault["loc"][:2])) for fault in answer["exception_detail"]})
    if 400 <= status < 1000:  # the codes that close a websocket begin there
        return None
    return answer if view is None else view(answer)


# -- views -----------------------------------------------------------------------------------------------------------


def nothing(answer: Any) -> None:
    """Only the status is compared."""


def names(answer: list[dict[str, Any]]) -> list[str]:
    return [one["name"] for one in answer]


def page(answer: dict[str, Any]) -> dict[str, Any]:
    """A page without what its members are, but their names."""
    return {**answer, "results": names(answer["results"])}


def each(*keys: str) -> Callable[[list[dict[str, Any]]], list[list[Any]]]:
    """Of each member of a list some fields."""
    return lambda answer: [[one[key] for key in keys] for one in answer]


def only(*keys: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Of an object those of some fields that it has."""
    return lambda answer: {key: answer[key] for key in keys if key in answer}


def where(key: str, *values: Any) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    """The members of a list that belong to the scenario; the database has others."""
    return lambda answer: [one for one in answer if one[key] in values]
