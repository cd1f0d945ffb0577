"""What the server of Prefect 3.8 answered, and how an answer of ours differs from it.

Facts are written with their ids numbered, the time of the recording replaced and durations left out. An answer may have
more fields than the fact, because what is added disturbs nobody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conformance.script import Step

FOLDER = Path(__file__).parent / "recorded"

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LABEL = re.compile(r"<id\d+>")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?")
_NOW = "<now>"
_THIS_TIME = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2098, 1, 1, tzinfo=UTC))
"""Times in between are those of the recording; scenarios name others."""
_MEASURED = frozenset(
    {"total_run_time", "estimated_run_time", "estimated_start_time_delta", "avg_slot_occupancy_seconds"}
)
_TEXTS = frozenset({"reason", "message", "explanation"})
"""What is said to people, each server in its own words; that it says something is compared."""


def _plain(value: Any, key: str = "") -> Any:
    """An answer without what depends on when it was given and in whose words."""
    if isinstance(value, dict):
        return {name: _plain(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, key) for one in value]
    if key in _MEASURED and isinstance(value, float | int):
        return "<measured>"
    if key in _TEXTS and isinstance(value, str):
        return "<text>"
    if isinstance(value, str):
        return _time(value) if _TIME.fullmatch(value) else value
    return round(value, 6) if isinstance(value, float) else value


def _time(text: str) -> str:
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return _NOW if _THIS_TIME[0] < moment < _THIS_TIME[1] else moment.isoformat()


def write(scenario: str, steps: list[Step]) -> None:
    """Keep what a server answered."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{scenario}.json").write_text(text_of(steps))


def text_of(steps: list[Step]) -> str:
    """The steps of a scenario as they are kept: one in a line."""
    labels: dict[str, str] = {}

    def label(found: re.Match[str]) -> str:
        return labels.setdefault(found.group(), f"<id{len(labels)}>")

    lines = [
        _UUID.sub(label, json.dumps({"step": one.name, "status": one.status, "answer": _plain(one.answer)}))
        for one in steps
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def read(scenario: str) -> list[dict[str, Any]]:
    """What was kept of a scenario."""
    return json.loads((FOLDER / f"{scenario}.json").read_text())


class Comparison:
    """Compares the steps of one scenario with its facts; it remembers which id stands for which."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def differences(self, fact: dict[str, Any], step: Step) -> list[str]:
        """Where an answer is unlike the fact, each as one line."""
        if fact["step"] != step.name:
            return [f"the scenario has changed: {fact['step']} was recorded; record it anew"]
        if fact["status"] != step.status:
            return [f"{fact['status']}, here {step.status}"]
        if step.status >= 400 and None in (fact["answer"], step.answer):
            return []  # one of them says in words, and not as data, what does not fit
        return list(self._walk(fact["answer"], _plain(step.answer), ""))

    def _walk(self, there: Any, here: Any, place: str) -> Iterator[str]:
        if isinstance(there, dict) and isinstance(here, dict):
            for raw, value in there.items():
                key = self._known(raw, here)
                if key not in here:
                    yield f"{place}.{raw}: missing"
                else:
                    yield from self._walk(value, here[key], f"{place}.{raw}")
        elif isinstance(there, list) and isinstance(here, list):
            if len(there) != len(here):
                yield f"{place}: {len(there)} items, here {len(here)}"
            for number, (one, other) in enumerate(zip(there, here, strict=False)):
                yield from self._walk(one, other, f"{place}[{number}]")
        elif isinstance(there, str) and isinstance(here, str):
            if not self._same_text(there, here):
                yield f"{place}: {there!r}, here {self._labelled(here)!r}"
        elif there != here or isinstance(there, bool) is not isinstance(here, bool):
            yield f"{place}: {_brief(there)}, here {self._labelled(_brief(here))}"

    def _known(self, key: str, here: dict[str, Any]) -> str:
        """The key of ours that a key of theirs stands for: the keys of some answers are ids."""
        if not _LABEL.search(key):
            return key
        return next((one for one in here if self._same_text(key, one)), key)

    def _same_text(self, there: str, here: str) -> bool:
        labels = _LABEL.findall(there)
        if not labels:
            return there == here
        found = re.fullmatch(f"({_UUID.pattern})".join(map(re.escape, _LABEL.split(there))), here)
        if found is None:
            return False
        pairs = dict(zip(labels, found.groups(), strict=True))
        taken = set(self._ids.values())
        if any(self._ids[label] != id if label in self._ids else id in taken for label, id in pairs.items()):
            return False
        self._ids |= pairs
        return True

    def _labelled(self, text: str) -> str:
        """A text of ours with the ids by their numbers, so that it is the same each time."""
        numbers = {id: label for label, id in self._ids.items()}
        return _UUID.sub(lambda found: numbers.get(found.group(), "<an id>"), text)


def _brief(value: Any) -> str:
    return json.dumps(value)[:160]
