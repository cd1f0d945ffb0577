"""The final state that follows from the states a flow returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from prefect._rules.states import CANCELLED, COMPLETED, CRASHED, FAILED, PAUSED, TERMINAL


def combine(types: Sequence[str]) -> tuple[str, str]:
    """The type and message of a run that returned runs in these state types.

    One cancelled run makes it cancelled; otherwise all completed runs make it completed, and anything else failed.
    """
    total = len(types)
    counts = Counter(types)
    if counts[CANCELLED]:
        return CANCELLED, f"{counts[CANCELLED]}/{total} states cancelled."
    if counts[PAUSED]:
        return PAUSED, f"{counts[PAUSED]}/{total} states paused."
    failed = counts[FAILED] + counts[CRASHED]
    if failed:
        return FAILED, f"{failed}/{total} states failed."
    unfinished = sum(count for type_, count in counts.items() if type_ not in TERMINAL)
    if unfinished:
        return FAILED, f"{unfinished}/{total} states are not final."
    return COMPLETED, "All states completed."
