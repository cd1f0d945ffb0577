"""Generate the ready schemas from the tables, or check that they are current."""

from __future__ import annotations

import sys

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from prefect._store.schema import POSTGRESQL_SCRIPT, SCHEMA_REVISION, SQLITE_SCRIPT, read_script
from prefect._store.tables import metadata

TARGETS: dict[str, type[Dialect]] = {SQLITE_SCRIPT: sqlite.dialect, POSTGRESQL_SCRIPT: postgresql.dialect}

_HEADER = """\
-- Generated from prefect/_store/tables/ by `python -m prefect._store.schema --write`. Do not edit.
"""


def render(dialect: Dialect) -> str:
    """The script that makes an empty database of this dialect complete."""
    version = sa.Table(
        "alembic_version",
        sa.MetaData(),
        sa.Column("version_num", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
    )
    parts: list[str] = []
    for table in [*metadata.sorted_tables, version]:
        parts.append(str(sa.schema.CreateTable(table).compile(dialect=dialect)).strip())
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        parts += [str(sa.schema.CreateIndex(index).compile(dialect=dialect)).strip() for index in indexes]
    parts.append(f"INSERT INTO alembic_version (version_num) VALUES ('{SCHEMA_REVISION}')")
    text = ";\n\n".join(parts) + ";\n"
    return _HEADER + "\n" + "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def main(arguments: list[str]) -> int:
    if arguments not in (["--write"], ["--check"]):
        print("usage: python -m prefect._store.schema --write | --check", file=sys.stderr)
        return 2
    stale = []
    for path, dialect in TARGETS.items():
        script = render(dialect())
        if arguments == ["--write"]:
            with open(path, "w", encoding="utf-8", newline="\n") as file:
                file.write(script)
        elif read_script(path) != script:
            stale.append(path)
    for path in stale:
        print(f"{path} is not what the tables say; run `python -m prefect._store.schema --write`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
