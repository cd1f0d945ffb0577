"""`python -m prefect.engine FLOW_RUN_ID`: carry out a flow run that exists already, in this process.

The id may also be in the environment variable `PREFECT__FLOW_RUN_ID`. The exit status is 1 when the run failed or
crashed, else 0; 2 when the command itself could not be understood.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._lazy import lazy_module
from prefect.exceptions import Abort, Pause, PrefectException
from prefect.logging.loggers import get_logger

if TYPE_CHECKING:
    from prefect._dispatch import execution
else:
    execution = lazy_module("prefect._dispatch.execution")

__all__ = ["handle_engine_signals"]


@contextmanager
def handle_engine_signals(flow_run_id: UUID | str | None = None) -> Iterator[None]:
    """Carry out a run inside this block to end the process as its end says.

    A run that is stopped, paused or taken over by another process ends it with status 0, an error with status 1. An
    exception that only tells a process to end passes through.

    Args:
        flow_run_id: of the run, for the messages.

    Raises:
        SystemExit: the block raised an exception.
    """
    logger = get_logger("engine")
    name = f"Flow run '{flow_run_id}'" if flow_run_id is not None else "The flow run"
    try:
        yield
    except Abort as signal:
        logger.info("%s stops here: %s", name, signal)
        sys.exit(0)
    except Pause:
        logger.info("%s is paused and leaves this process.", name)
        sys.exit(0)
    except Exception:
        logger.error("%s could not be carried out:", name, exc_info=True)
        sys.exit(1)


def main(arguments: list[str]) -> int:
    """Carry out the run that the arguments, or the environment, name; returns the exit status."""
    given: Any = arguments[0] if arguments else execution.id_from_environment()
    try:
        flow_run_id = str(UUID(given))
    except (TypeError, ValueError):
        print(
            "Say which flow run is to be carried out: python -m prefect.engine FLOW_RUN_ID, or set PREFECT__FLOW_RUN_ID.",
            file=sys.stderr,
        )
        return 2
    with handle_engine_signals(flow_run_id):
        try:
            return execution.carry_out(flow_run_id)
        except PrefectException as problem:
            get_logger("engine").error("Flow run '%s' could not be carried out: %s", flow_run_id, problem)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
