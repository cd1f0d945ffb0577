"""Column types that mean the same on SQLite and on PostgreSQL.

| type        | in Python         | SQLite                          | PostgreSQL    |
|-------------|-------------------|---------------------------------|---------------|
| `Id`        | `uuid.UUID`       | TEXT, 36 characters, lower case | UUID          |
| `Timestamp` | aware datetime    | INTEGER, microseconds since 1970 UTC | TIMESTAMPTZ |
| `Duration`  | `timedelta`       | INTEGER, microseconds           | BIGINT, microseconds |
| `Json`      | JSON value        | TEXT                            | JSONB         |

SQLite has no type for moments; whole microseconds compare and sort exactly, and cost nothing to write.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from prefect._clock import from_us, to_us
from prefect._lazy import lazy_module
from prefect._store.documents import json_text, json_value, jsonb_value

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql
else:
    postgresql = lazy_module("sqlalchemy.dialects.postgresql")  # who looks at SQLite does not wait for it

_MICROSECOND = timedelta(microseconds=1)


def _is_postgresql(dialect: Dialect) -> bool:
    return dialect.name == "postgresql"


class Id(TypeDecorator[UUID]):
    """An identifier; accepts `uuid.UUID` or its text."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if _is_postgresql(dialect):
            return dialect.type_descriptor(postgresql.UUID(as_uuid=True))
        return dialect.type_descriptor(sa.Text(36))

    def process_bind_param(self, value: UUID | str | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if _is_postgresql(dialect):
            return value if isinstance(value, UUID) else UUID(value)
        return str(value) if isinstance(value, UUID) else str(UUID(value))

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:
        return value if value is None or isinstance(value, UUID) else UUID(value)


class Timestamp(TypeDecorator[datetime]):
    """A moment; a naive datetime is taken as UTC, an aware one comes back."""

    impl = sa.Integer
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if _is_postgresql(dialect):
            return dialect.type_descriptor(sa.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(sa.Integer())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if _is_postgresql(dialect):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        return to_us(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if isinstance(value, datetime) else from_us(value)


class Duration(TypeDecorator[timedelta]):
    """A length of time, stored as whole microseconds everywhere so that sums are exact."""

    impl = sa.Integer
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(sa.BigInteger() if _is_postgresql(dialect) else sa.Integer())

    def process_bind_param(self, value: timedelta | None, dialect: Dialect) -> int | None:
        return None if value is None else value // _MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> timedelta | None:
        return None if value is None else timedelta(microseconds=value)


class Json(TypeDecorator[Any]):
    """A JSON value; SQL NULL and Python `None` are one."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if _is_postgresql(dialect):
            return dialect.type_descriptor(postgresql.JSONB(none_as_null=True))
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if value is None or _is_postgresql(dialect):
            return value
        return json_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if not isinstance(value, str):
            return value
        return jsonb_value(value) if _is_postgresql(dialect) else json_value(value)
