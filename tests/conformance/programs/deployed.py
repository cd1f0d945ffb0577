"""Flows that are deployed by the published client: `serve` them, or `deploy` them to a pool."""

import sys
from pathlib import Path

from prefect import flow, get_run_logger, pause_flow_run, serve, task


@task
def double(x):
    return 2 * x


@flow
def doubles(x: int = 1):
    get_run_logger().info("doubled: %s", double(x))


@flow
def pauses():
    pause_flow_run(timeout=120, poll_interval=1)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(doubles.to_deployment("served", tags=["a"]), pauses.to_deployment("pausing"))
    else:
        source = flow.from_source(str(Path(__file__).parent), f"{Path(__file__).name}:doubles")
        source.deploy("pooled", work_pool_name=sys.argv[2], build=False, push=False, print_next_steps=False)
