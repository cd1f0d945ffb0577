"""Flows that are deployed by the published client: `serve` them, or `deploy` them to a pool."""

import os
import sys
import time
from pathlib import Path

from prefect import flow, get_run_logger, pause_flow_run, runtime, serve, suspend_flow_run, task
from prefect.input import receive_input


@task
def double(x):
    return 2 * x


@flow
def doubles(x: int = 1):
    get_run_logger().info("doubled: %s", double(x))


@flow
def pauses():
    pause_flow_run(timeout=120, poll_interval=1)


@flow
def asks():
    """What it is given when it is resumed, and what it is sent."""
    number = pause_flow_run(wait_for_input=int, timeout=120, poll_interval=1)
    text = receive_input(str, timeout=120, poll_interval=1).next()
    get_run_logger().info("told: %s %s", number, text)


@flow
def suspends():
    """Its process ends, and another one goes on."""
    get_run_logger().info("process of run %s", runtime.flow_run.run_count)
    suspend_flow_run(timeout=120)
    get_run_logger().info("resumed")


@flow
def sleeps(pid_file: str):
    """Does not end by itself."""
    Path(pid_file).write_text(str(os.getpid()))
    while True:
        time.sleep(0.1)


if __name__ == "__main__":
    here = Path(__file__)
    if sys.argv[1] == "serve":
        serve(
            doubles.to_deployment("served", tags=["a"]), pauses.to_deployment("pausing"), asks.to_deployment("asking")
        )
    else:
        for name in ("doubles", "suspends", "sleeps"):
            source = flow.from_source(str(here.parent), f"{here.name}:{name}")
            source.deploy("pooled", work_pool_name=sys.argv[2], build=False, push=False, print_next_steps=False)
