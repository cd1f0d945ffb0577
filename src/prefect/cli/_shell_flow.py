"""The flow that runs a command of the shell; `prefect shell` serves and watches it."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from typing import IO, Any

from prefect.exceptions import FailedRun
from prefect.flows import flow
from prefect.logging.loggers import get_run_logger


@flow(name="Shell Command")
def run_shell_process(
    command: str,
    log_output: bool = True,
    stream_stdout: bool = False,
    log_stderr: bool = True,
    popen_kwargs: dict[str, Any] | None = None,
) -> None:
    """Run a command of the shell, and fail if it does.

    Args:
        command: the command line, as one would type it.
        log_output: keep what it writes as log lines of the run.
        stream_stdout: where that is not kept: show it.
        log_stderr: keep what it writes on its error stream, too.
        popen_kwargs: further arguments of `subprocess.Popen`.

    Raises:
        FailedRun: its exit status is not 0.
    """
    logger = get_run_logger()

    def tell(say: Callable[[str], object], kept: bool) -> Callable[[str], object]:
        if log_output and kept:
            return say
        return print if stream_stdout else lambda line: None

    options: dict[str, Any] = {"shell": True, **(popen_kwargs or {})}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", bufsize=1, **options
    )
    errors: list[str] = []
    with process:
        reader = threading.Thread(
            target=_read,
            args=(process.stderr, tell(logger.error, log_stderr), errors),
            name="shell-stderr",
            daemon=True,
        )
        reader.start()
        _read(process.stdout, tell(logger.info, True), [])
        reader.join()
        status = process.wait()
    if status:
        told = f": {errors[-1]}" if errors else "."
        raise FailedRun(f"Command failed with exit code {status}{told}")


def _read(stream: IO[str] | None, tell: Callable[[str], object], last: list[str]) -> None:
    for line in stream or ():
        text = line.rstrip("\n")
        tell(text)
        if text.strip():
            last[:] = [text]
