"""Statements that are executed again and again with the same values.

To find a statement of SQLAlchemy among those it has compiled, and to bring its values into the driver's form, takes
longer than most of them run. What the driver was given the first time is given to it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa


class Prepared:
    """A statement that reads, with its values.

    Args:
        statement: the statement. It is for databases of one kind.
    """

    def __init__(self, statement: sa.Select[Any]) -> None:
        self._statement = statement
        self._given: tuple[str, Any] | None = None

    def rows(self, tx: sa.Connection) -> list[Sequence[Any]]:
        """All rows, as the driver gives them."""
        if self._given is None:
            result = tx.execute(self._statement)
            context: Any = result.context
            self._given = context.statement, context.parameters[0]
        else:
            result = tx.exec_driver_sql(*self._given)
        cursor: Any = result.cursor
        found: list[Sequence[Any]] = cursor.fetchall()
        result.close()
        return found
