"""A runner's own small web server: whether it is well, how much it does, and how to end it."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from prefect._clock import now
from prefect._lazy import lazy_module
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import starlette.applications as applications
    import starlette.responses as responses
    import starlette.routing as routing
    import uvicorn

    from prefect.runner.runner import Runner
else:
    applications = lazy_module("starlette.applications")
    responses = lazy_module("starlette.responses")
    routing = lazy_module("starlette.routing")
    uvicorn = lazy_module("uvicorn")

__all__ = ["build_server", "perform_health_check", "run_count", "shutdown", "start_webserver"]


def perform_health_check(runner: Runner, delay_threshold: float | None = None) -> Any:
    """A function that answers whether a runner has heard of the API lately.

    Args:
        runner: the runner.
        delay_threshold: for how many seconds it may have heard nothing; default as the settings `runner.poll_frequency`
            and `runner.server.missed_polls_tolerance` say.
    """
    settings = get_current_settings().runner
    if delay_threshold is None:
        delay_threshold = max(settings.poll_frequency, 30) * (settings.server.missed_polls_tolerance + 1)
    longest = timedelta(seconds=delay_threshold)

    def health(*_: Any) -> Any:
        if now() - runner.last_polled > longest:
            return responses.JSONResponse({"message": "Runner is unresponsive at this time"}, status_code=503)
        return responses.JSONResponse({"message": "OK"})

    return health


def run_count(runner: Runner) -> Any:
    """A function that answers how many runs a runner is carrying out."""

    def count(*_: Any) -> Any:
        return responses.JSONResponse(runner.run_count)

    return count


def shutdown(runner: Runner) -> Any:
    """A function that ends a runner."""

    def end(*_: Any) -> Any:
        runner.stop()
        return responses.JSONResponse({"message": "OK"})

    return end


async def build_server(runner: Runner) -> Any:
    """The application (ASGI): `GET /health`, `GET /run_count`, `POST /shutdown`.

    Args:
        runner: the runner that it is about.
    """
    return _application(runner)


def _application(runner: Runner) -> Any:
    return applications.Starlette(
        routes=[
            routing.Route("/health", perform_health_check(runner), methods=["GET"]),
            routing.Route("/run_count", run_count(runner), methods=["GET"]),
            routing.Route("/shutdown", shutdown(runner), methods=["POST"]),
        ]
    )


def start_webserver(runner: Runner, log_level: str | None = None) -> None:
    """Answer over HTTP until the program ends, at the address in the settings `runner.server`.

    Args:
        runner: the runner that it is about.
        log_level: lowest level of messages that it logs; default the setting.
    """
    settings = get_current_settings().runner.server
    config = uvicorn.Config(
        _application(runner),
        host=settings.host,
        port=settings.port,
        log_level=(log_level or settings.log_level).lower(),
    )
    server = uvicorn.Server(config)
    if threading.current_thread() is not threading.main_thread():
        server.capture_signals = _no_signals  # type: ignore[method-assign]
    server.run()


class _no_signals:
    """Signals are the runner's."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc_info: object) -> None:
        return None


def run_in_thread(runner: Runner) -> None:
    """`start_webserver`, in a thread of its own."""
    threading.Thread(target=start_webserver, args=(runner,), name="runner-webserver", daemon=True).start()
