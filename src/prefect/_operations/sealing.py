"""Values with secrets in them, encrypted where they are kept (Fernet: AES-128-CBC with HMAC-SHA256).

What a block holds is kept as `{"$encrypted": "<token>"}` when its schema has secrets. Keys come from the setting
`api.encryption_key` (`PREFECT_API_ENCRYPTION_KEY`): one or more, separated by commas; the first encrypts, all decrypt, so
a new key is put in front of the old one. Without the setting there is a key in the database itself, made when it is
first needed: it keeps secrets out of dumps of single tables and out of logs, not from those who have the whole database.
What was kept in the clear by an older version is read as it is, and encrypted when it is next written.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from prefect._lazy import lazy_module
from prefect._store import single
from prefect._store.tables import configuration
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from cryptography import fernet
else:
    fernet = lazy_module("cryptography.fernet")  # most programs have no secrets to read

_MARK = "$encrypted"
_KEY_OF_DATABASE = "ENCRYPTION_KEY"


class SecretsUnreadable(RuntimeError):
    """Something was encrypted with a key that is not at hand; put it behind the new one in PREFECT_API_ENCRYPTION_KEY."""


def is_sealed(value: Any) -> bool:
    """Whether a value is an encrypted one."""
    return isinstance(value, dict) and value.keys() == {_MARK}


def seal(tx: sa.Connection, value: Any) -> dict[str, str]:
    """A value, encrypted with the newest key."""
    keys = _keys_of_settings() or [_key_of_database(tx, make=True)]
    return {_MARK: _cipher(keys).encrypt(json.dumps(value).encode()).decode()}


def opened(tx: sa.Connection, value: Any) -> Any:
    """A value as it was before it was encrypted; one that was not is returned as it is.

    Raises:
        SecretsUnreadable: none of the keys fits.
    """
    if not is_sealed(value):
        return value
    token = value[_MARK].encode()
    # the key of the database last: it was used before there was a setting
    for keys in (_keys_of_settings, lambda: [_key_of_database(tx, make=False)]):
        found = [key for key in keys() if key]
        if found:
            try:
                return json.loads(_cipher(found).decrypt(token))
            except fernet.InvalidToken:
                continue
    raise SecretsUnreadable(
        "A block holds secrets that none of the keys at hand can decrypt. Set PREFECT_API_ENCRYPTION_KEY to the key with which "
        "they were encrypted; several are separated by commas, the newest first."
    )


def _keys_of_settings() -> list[str]:
    given = get_current_settings().api.encryption_key
    return [] if given is None else [key.strip() for key in given.get_secret_value().split(",") if key.strip()]


def _key_of_database(tx: sa.Connection, *, make: bool) -> str:
    """The key that the database keeps; '' when it has none and none is to be made."""
    statement = sa.select(configuration.c.value).where(configuration.c.key == _KEY_OF_DATABASE)
    known = tx.execute(statement).scalar_one_or_none()
    if known is None and make:
        single.insert_new(tx, configuration, {"key": _KEY_OF_DATABASE, "value": {"fernet": _new_key()}})
        known = tx.execute(statement).scalar_one()  # another transaction may have been faster: then its key is the one
    return known["fernet"] if known else ""


def _new_key() -> str:
    return fernet.Fernet.generate_key().decode()


def _cipher(keys: list[str]) -> fernet.MultiFernet:
    try:
        return fernet.MultiFernet([fernet.Fernet(key) for key in keys])
    except ValueError as exc:
        raise SecretsUnreadable(
            "PREFECT_API_ENCRYPTION_KEY holds no key: one is 32 bytes in URL-safe base64, as "
            '`python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"` makes it.'
        ) from exc
