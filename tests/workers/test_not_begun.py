"""Runs whose flow never begins: what is wrong is said in the state and in the log of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.workers.process import ProcessWorker

from .conftest import Deployments, Work, places, starting, wait_for

GOOD = "from prefect import flow\n@flow\ndef f(x: int = 1): return x\n"


@pytest.fixture
def work(place: str) -> Iterator[Work]:
    yield from starting()


def clone(tmp_path: Path) -> list[dict[str, Any]]:
    return [{"prefect.deployments.steps.git_clone": {"repository": str(tmp_path / "gone.git"), "branch": "main"}}]


@places("served")
def test_what_keeps_a_flow_from_beginning(deployments: Deployments, code: Path, work: Work, tmp_path: Path) -> None:
    deployments.pool = f"pool-{uuid4().hex[:8]}"
    work(ProcessWorker(deployments.pool))

    def replaced(text: str | None) -> Callable[[Path], Any]:
        return lambda file: file.unlink() if text is None else file.write_text(text)

    cases: dict[str, tuple[Callable[[Path], Any], dict[str, Any], list[str]]] = {
        "no-file": (
            replaced(None),
            {},
            ["no-file.py", "There is no file", "Deploy the flow with a place for its code"],
        ),
        "no-flow": (
            replaced(GOOD.replace("def f", "def g") + "\n"),
            {},
            ["'f' not found", "Flows that are there: 'g'"],
        ),
        "no-python": (replaced("def f(:"), {}, ["raised SyntaxError", "no-python.py, line 1"]),
        "no-package": (replaced("import nope_x\n" + GOOD), {}, ["No module named 'nope_x'", "Install the package"]),
        "no-repository": (
            replaced(GOOD),
            {"path": None, "pull_steps": clone(tmp_path)},
            ["The code of the flow could not be pulled", "git_clone", "gone.git"],
        ),
        "no-step": (
            replaced(GOOD),
            {"path": None, "pull_steps": [{"nope_x.steps.fetch": {}}]},
            ["The code of the flow could not be pulled", "nope_x"],
        ),
        "no-folder": (replaced(GOOD), {"path": str(tmp_path / "nowhere")}, ["nowhere"]),
    }
    runs = {}
    for name, (change, options, _) in cases.items():
        id = deployments.deploy(GOOD, file=f"{name}.py", name=name, **options)
        change(code / f"{name}.py")
        runs[name] = deployments.run(id)
    for name, run in runs.items():
        ended = deployments.ended(run)
        said = str(ended.state and ended.state.message)
        assert ended.state_name == "Crashed", (name, said)
        assert all(part in said for part in cases[name][2]), (name, said)
        of_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))

        def told(of_run: LogFilter = of_run, part: str = cases[name][2][0]) -> bool:
            return any(part in line.message for line in deployments.api.read_logs(of_run))

        wait_for(told, f"The log of the run {name!r} says so")
