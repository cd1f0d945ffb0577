"""Workers: programs that carry out the runs of a work pool on one kind of infrastructure.

`prefect.workers.base` is what workers are made of, `prefect.workers.process` the one that starts processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect.workers.process import ProcessWorker

__getattr__, __dir__, _ = lazy_attributes(__name__, {"ProcessWorker": "prefect.workers.process"})

__all__ = ["ProcessWorker"]
