"""What a run can ask about itself.

    from prefect.runtime import flow_run, task_run, deployment

    flow_run.name, flow_run.parameters, task_run.run_count, deployment.id

The values are looked up each time, in the run that asks. Outside a run they are `None`, `{}`, `[]` or 0. For tests,
`PREFECT__RUNTIME__FLOW_RUN__NAME=mocked` and the like give `flow_run.name` and the others a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect.runtime import deployment, flow_run, task_run

__getattr__, __dir__, _ = lazy_attributes(
    __name__,
    {
        "deployment": "prefect.runtime.deployment:",
        "flow_run": "prefect.runtime.flow_run:",
        "task_run": "prefect.runtime.task_run:",
    },
)

__all__ = ["deployment", "flow_run", "task_run"]
