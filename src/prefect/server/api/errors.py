"""What clients are told when something fails: the bodies and status codes of the API."""

from __future__ import annotations

import json
import logging
from math import isfinite
from typing import Any

from pydantic import ValidationError
from sqlalchemy import exc as sa_exc
from starlette.responses import JSONResponse, Response

from prefect._operations.errors import refusal
from prefect._store.sqlite import DatabaseUnavailable

logger = logging.getLogger("prefect.server")

_UNAVAILABLE = (DatabaseUnavailable, sa_exc.OperationalError, sa_exc.InterfaceError, sa_exc.TimeoutError)
"""What a database that is down, starting, too slow or too busy looks like: the same request may succeed later."""

_ECHO_LIMIT = 65_536
"""Bytes of a request's body that are sent back with the complaint about it."""


class _Answer(JSONResponse):
    """JSON that can be sent whatever it quotes: half of a surrogate pair is no text, but can be part of a request."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode("ascii")


class BadRequest(Exception):
    """The request does not fit its route.

    Args:
        problems: what is wrong, as pydantic tells it, with where.
        body: the body of the request, to be sent back.
        status: the HTTP status.
    """

    def __init__(self, problems: list[dict[str, Any]], body: bytes = b"", status: int = 422) -> None:
        self.problems = problems
        self.body = body
        self.status = status
        super().__init__(str(problems))


def problems_of(error: ValidationError, where: str) -> list[dict[str, Any]]:
    """The complaints of a validation, each with its place in the request."""
    try:
        problems = _finite(error.json(include_url=False))
    except ValueError:  # the input is not text
        problems = _finite(error.json(include_url=False, include_input=False, include_context=False))
    for problem in problems:
        problem["loc"] = [where, *problem["loc"]]
    return problems


def response_for(error: Exception) -> Response:
    """The response that tells a client of an error; one that nobody foresaw is logged, and not described."""
    if isinstance(error, BadRequest):
        return _Answer(
            {
                "exception_message": "Invalid request received.",
                "exception_detail": error.problems,
                "request_body": _echo(error.body),
            },
            error.status,
        )
    refused = refusal(error)
    if refused is not None:
        wait = None if refused.retry_after is None else {"Retry-After": str(refused.retry_after)}
        return _Answer({"detail": refused.detail}, refused.status, wait)
    if isinstance(error, _UNAVAILABLE) or (isinstance(error, sa_exc.DBAPIError) and error.connection_invalidated):
        logger.error("The database is unavailable: %s", error)
        headers = {"Retry-After": "1"}
        return _Answer({"exception_message": "The database is unavailable; try again."}, 503, headers)
    logger.exception("A request failed.", exc_info=error)
    return _Answer({"exception_message": "Internal Server Error"}, 500)


def _finite(text: str | bytes) -> Any:
    """What JSON says; numbers that JSON itself could not say, such as 1e400, as they were written."""
    return json.loads(
        text, parse_constant=str, parse_float=lambda given: number if isfinite(number := float(given)) else given
    )


def _echo(body: bytes) -> Any:
    if not body or len(body) > _ECHO_LIMIT:
        return None
    try:
        return _finite(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")
