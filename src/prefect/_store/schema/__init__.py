"""The ready schemas: what all migrations add up to, as one script for each database.

A new database is made from its script, in one transaction, instead of replaying migrations; the script also
records the revision, so that later migrations go on from there. The scripts are generated from
`prefect._store.tables` by `python -m prefect._store.schema --write`. This module imports nothing heavy: the
first run on a new machine reads it.
"""

from __future__ import annotations

import os

SCHEMA_REVISION = "0019"
"""The Alembic revision that the scripts stand for: the newest one in `prefect/_store/migrations/versions`."""

_HERE = os.path.dirname(os.path.abspath(__file__))

SQLITE_SCRIPT = os.path.join(_HERE, "sqlite.sql")
POSTGRESQL_SCRIPT = os.path.join(_HERE, "postgresql.sql")


def read_script(path: str) -> str:
    """The whole script, without `BEGIN` and `COMMIT`: the caller decides about the transaction."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def statements(script: str) -> list[str]:
    """The statements of a generated script, one by one.

    A statement ends with a semicolon at the end of a line; the generator writes no other such line.
    """
    lines = (line for line in script.splitlines() if not line.startswith("--"))
    return [part.strip() for part in "\n".join(lines).split(";\n") if part.strip(" \n;")]
