"""Handing over log lines of one's own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, runtime
from prefect.client.orchestration import get_client
from prefect.logging.handlers import APILogWorker


@flow
def main() -> str:
    return runtime.flow_run.id


def test_a_line_is_recorded_with_its_run(home: Path) -> None:
    worker = APILogWorker.instance()
    assert worker is APILogWorker.instance()
    flow_run_id = main()
    worker.start()
    worker.send(
        {
            "name": "mine",
            "level": 30,
            "message": "from elsewhere",
            "timestamp": datetime.now(UTC),
            "flow_run_id": flow_run_id,
            "task_run_id": None,
        }
    )
    worker.wait_until_empty()
    with get_client(sync_client=True) as client:
        lines = client.read_logs()
    assert ("mine", 30, "from elsewhere", flow_run_id) in {
        (line.name, line.level, line.message, str(line.flow_run_id)) for line in lines
    }
    worker.reset_for_fork()
    assert APILogWorker.instance() is not worker
    assert worker.max_batch_size > 0
    assert worker.min_interval > 0
