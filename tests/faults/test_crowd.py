"""Many processes that run flows on one database at the same time."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import NAME, text_of
from .test_kill import check

pytestmark = pytest.mark.faults

CROWD = """
import sys
from prefect import flow, get_run_logger, task

@task
def work(n):
    get_run_logger().info("line of %s", sys.argv[1])
    return n

@flow
def child(n):
    return work(n)

@flow
def main(n):
    return work(n) + sum(work.map(range(3)).result()) + child(n)

for n in range(2):
    assert main(n) == 2 * n + 3
print("done")
"""


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_nothing_is_lost_and_nobody_is_refused(
    home: Path, script: Callable[..., subprocess.Popen[str]], query: Any, soak: bool
) -> None:
    count = 200 if soak else 60
    processes = [script(CROWD, str(number)) for number in range(count)]
    for process in processes:
        code = process.wait(400)
        assert (code, text_of(process.out)) == (0, "done\n"), text_of(process.err)  # type: ignore[attr-defined]
        errors = [line for line in text_of(process.err).splitlines() if "| ERROR" in line or "locked" in line]  # type: ignore[attr-defined]
        assert errors == []
    check(home / NAME)
    assert query("SELECT name, (SELECT count(*) FROM flow_run r WHERE r.flow_id = f.id) FROM flow f ORDER BY 1") == [
        ("child", 2 * count),
        ("main", 2 * count),
    ]
    assert query("SELECT state_type, count(*) FROM flow_run GROUP BY 1") == [("COMPLETED", 4 * count)]
    assert query("SELECT name, count(*) FROM flow_run_state GROUP BY 1 ORDER BY 1") == [
        ("Completed", 4 * count), ("Pending", 4 * count), ("Running", 4 * count),
    ]  # fmt: skip
    # per run of `main`: five calls of `work` (one in the sub-flow) and the task run that stands for the sub-flow
    assert query("SELECT state_type, count(*) FROM task_run GROUP BY 1") == [("COMPLETED", 12 * count)]
    assert query("SELECT count(*) FROM task_run_state") == [(36 * count,)]
    lines = dict(query("SELECT message, count(*) FROM log WHERE message LIKE 'line of %' GROUP BY 1"))
    assert lines == {f"line of {number}": 10 for number in range(count)}
    assert list(Path(f"{home / NAME}.owners").iterdir()) == []
