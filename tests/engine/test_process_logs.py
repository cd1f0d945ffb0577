"""What tasks say in other processes is heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SCRIPT = """
from prefect import flow, task, get_run_logger
from prefect.task_runners import ProcessPoolTaskRunner


@task
def speak(x: int) -> int:
    get_run_logger().info("logged by %s", x)
    print("printed by", x)
    return x


@flow(task_runner=ProcessPoolTaskRunner(max_workers=1), log_prints=True)
def main() -> int:
    return sum(speak.map([1, 2]).result())


if __name__ == "__main__":
    with main.test() as run:
        assert run.result() == 3
        print("RECORDED", sorted(run.log_text.splitlines()))
"""


def test_what_a_task_says_in_another_process_is_shown_and_recorded(run_script: Callable[..., Any]) -> None:
    done = run_script(SCRIPT).ok()
    recorded = next(line for line in done.stdout.splitlines() if line.startswith("RECORDED"))
    for text in ("logged by 1", "logged by 2", "printed by 1", "printed by 2"):
        assert text in done.stderr
        assert text in recorded
