"""Logging for flows and tasks: what a run logs is shown on the console and recorded with the run.

    from prefect.logging import get_run_logger

    @flow
    def greet(name: str):
        get_run_logger().info("Hello, %s!", name)

Everything is the standard library's `logging` underneath. How it is set up is told in `prefect.logging.configuration`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect.logging.configuration import load_logging_config, setup_logging
    from prefect.logging.loggers import (
        LogEavesdropper,
        PrefectLogAdapter,
        disable_logger,
        disable_run_logger,
        flow_run_logger,
        get_logger,
        get_run_logger,
        get_worker_logger,
        patch_print,
        print_as_log,
        task_run_logger,
    )

__getattr__, __dir__, _ = lazy_attributes(
    __name__,
    {
        "LogEavesdropper": "prefect.logging.loggers",
        "PrefectLogAdapter": "prefect.logging.loggers",
        "configuration": "prefect.logging.configuration:",
        "disable_logger": "prefect.logging.loggers",
        "disable_run_logger": "prefect.logging.loggers",
        "filters": "prefect.logging.filters:",
        "flow_run_logger": "prefect.logging.loggers",
        "formatters": "prefect.logging.formatters:",
        "get_logger": "prefect.logging.loggers",
        "get_run_logger": "prefect.logging.loggers",
        "get_worker_logger": "prefect.logging.loggers",
        "handlers": "prefect.logging.handlers:",
        "highlighters": "prefect.logging.highlighters:",
        "load_logging_config": "prefect.logging.configuration",
        "loggers": "prefect.logging.loggers:",
        "patch_print": "prefect.logging.loggers",
        "print_as_log": "prefect.logging.loggers",
        "setup_logging": "prefect.logging.configuration",
        "task_run_logger": "prefect.logging.loggers",
    },
)

__all__ = [
    "LogEavesdropper",
    "PrefectLogAdapter",
    "disable_logger",
    "disable_run_logger",
    "flow_run_logger",
    "get_logger",
    "get_run_logger",
    "get_worker_logger",
    "load_logging_config",
    "patch_print",
    "print_as_log",
    "setup_logging",
    "task_run_logger",
]
