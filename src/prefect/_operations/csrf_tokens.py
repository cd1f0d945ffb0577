"""Tokens by which the server knows that a request was not forged by a web page of somebody else."""

from __future__ import annotations

import secrets
from datetime import datetime

import sqlalchemy as sa

from prefect._clock import now
from prefect._operations import edits
from prefect._operations.errors import Invalid
from prefect._operations.registry import operation
from prefect._schemas.base import ObjectBaseModel
from prefect._schemas.moments import DateTime
from prefect._store.tables import csrf_token
from prefect.settings import get_current_settings


class CsrfToken(ObjectBaseModel):
    """A client's token."""

    token: str
    client: str
    expiration: DateTime


@operation("GET", "/csrf-token", writes=True)
def create_csrf_token(tx: sa.Connection, client: str) -> CsrfToken:
    """A new token for a client, to be sent with every request that changes something.

    Raises:
        Invalid: the server does not ask for tokens.
    """
    api = get_current_settings().server.api
    if not api.csrf_protection_enabled:
        raise Invalid("CSRF protection is disabled.")
    moment = now()
    tx.execute(sa.delete(csrf_token).where(csrf_token.c.expiration < moment))
    values = {"client": client, "token": secrets.token_hex(32), "expiration": moment + api.csrf_token_expiration}
    row = edits.upsert(tx, csrf_token, values, by=["client"], change=["token", "expiration"])
    return CsrfToken.model_validate(row)


def is_valid(tx: sa.Connection, client: str, token: str, moment: datetime) -> bool:
    """Whether a token is that of a client, and not too old."""
    statement = sa.select(csrf_token.c.token).where(csrf_token.c.client == client, csrf_token.c.expiration > moment)
    expected = tx.execute(statement).scalar_one_or_none()
    return expected is not None and secrets.compare_digest(expected.encode(), token.encode())
