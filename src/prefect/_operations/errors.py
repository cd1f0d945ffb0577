"""How operations fail. Transports turn these into what their side expects (an HTTP status, a public exception)."""

from __future__ import annotations

from uuid import UUID


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
