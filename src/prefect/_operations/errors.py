"""How operations fail. Transports turn these into what their side expects (an HTTP status, a public exception)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from sqlalchemy import exc as sa_exc
else:
    sa_exc = lazy_module("sqlalchemy.exc")


class NotFound(LookupError):
    """The operation is about an object that the database does not hold."""

    def __init__(self, kind: str, key: UUID | str) -> None:
        self.kind = kind
        self.key = key
        super().__init__(f"{kind.capitalize()} '{key}' not found.")


class Conflict(Exception):
    """The operation contradicts what the database holds: a name that is taken, an object that others need.

    The message says which object, and what to do.
    """


class Invalid(ValueError):
    """The request can be read, but what it asks for makes no sense. The message names the field and the remedy."""

    status = 422
    """The HTTP status that says so."""


class Forbidden(Exception):
    """The operation would touch what the product keeps for itself. The message says what that is."""


class Gone(LookupError):
    """What the operation is about was there, and has ended. The message says what to do next."""


class Locked(Exception):
    """There is no room for what is asked now; the same request may succeed later.

    Args:
        message: what is full.
        retry_after: seconds after which there may be room; None when waiting does not help.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class NotLocal(RuntimeError):
    """The settings name a server, or a database that only a server opens."""


class Refused(NamedTuple):
    """What somebody is told whose request fails.

    Attributes:
        status: the HTTP status.
        detail: why, for people.
        retry_after: seconds after which the same request may succeed; None when waiting does not help.
    """

    status: int
    detail: str
    retry_after: float | None = None


_STATUSES: dict[type[Exception], int] = {NotFound: 404, Conflict: 409, Forbidden: 403, Gone: 410, Locked: 423}


def refusal(error: Exception) -> Refused | None:
    """What to tell somebody whose request failed with this error; None when the fault is not the request's."""
    if isinstance(error, Invalid):
        return Refused(error.status, str(error))
    for kind, status in _STATUSES.items():
        if isinstance(error, kind):
            return Refused(status, str(error), getattr(error, "retry_after", None))
    if isinstance(error, sa_exc.IntegrityError):
        detail = "A name or key is taken, or the request refers to an object that is not there."
        return Refused(409, f"Data integrity conflict: {detail}")
    too_large = isinstance(error, sa_exc.OperationalError) and str(getattr(error.orig, "sqlstate", "")).startswith("54")
    if too_large or isinstance(error, (OverflowError, sa_exc.DataError)):
        return Refused(422, "A number or text of the request is outside the range that can be stored.")
    return None
