"""The ready schemas: what all migrations add up to, as one script for each database.

A new database is made from its script, in one transaction, instead of replaying migrations; the script also
records the revision, so that later migrations go on from there. The scripts are generated from
`prefect._store.tables` by `python -m prefect._store.schema --write`. This module imports nothing heavy: the
first run on a new machine reads it.
"""

from __future__ import annotations

import os

SCHEMA_REVISION = "0001"
"""The Alembic revision that the scripts stand for: the newest one in `prefect/_store/migrations/versions`."""

_HERE = os.path.dirname(os.path.abspath(__file__))


def schema_path(dialect: str) -> str:
    """The file of the script for `"sqlite"` or `"postgresql"`."""
    return os.path.join(_HERE, f"{dialect}.sql")


def schema_sql(dialect: str) -> str:
    """The script for `"sqlite"` or `"postgresql"`, without `BEGIN` and `COMMIT`: the caller has the transaction."""
    with open(schema_path(dialect), encoding="utf-8") as file:
        return file.read()
