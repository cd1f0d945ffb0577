"""What a migration would do: the steps from one schema revision to another, and their statements."""

from __future__ import annotations

import contextlib
import io
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import alembic.command
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from sqlalchemy.pool import StaticPool

from prefect._store import migrate
from prefect._store.dialects import is_sqlite, parse_url, sqlite_path
from prefect._store.sqlite import connect


class NoSuchRevision(ValueError):
    """There is no such schema revision, or it is on the wrong side of the one the database is at."""


@dataclass(frozen=True)
class Revision:
    """A schema revision.

    Attributes:
        id: such as `0003`; `base` for no tables at all.
        title: what it brought.
    """

    id: str
    title: str


BASE = Revision("base", "no tables")


def revisions() -> list[Revision]:
    """All revisions, from `base` to the newest."""
    scripts = ScriptDirectory(str(migrate.SCRIPTS)).walk_revisions()
    return [BASE, *reversed([Revision(one.revision, one.doc.splitlines()[0].strip()) for one in scripts])]


def resolve(wanted: str, current: str | None) -> Revision:
    """The revision that is meant by its id (or the beginning of it), `head`, `base`, `+1` or `-1`.

    Args:
        wanted: what somebody wrote.
        current: the revision from which `+1` and `-1` are counted.

    Raises:
        NoSuchRevision: there is none.
    """
    known = revisions()
    if wanted == "head":
        return known[-1]
    if wanted[:1] in ("+", "-") and wanted[1:].isdigit():
        place = _place(known, current) + int(wanted)
        if not 0 <= place < len(known):
            raise NoSuchRevision(f"From revision {current or 'base'} there is no {wanted}.")
        return known[place]
    found = [one for one in known if one.id == wanted] or [one for one in known if one.id.startswith(wanted)]
    if len(found) != 1 or not wanted:
        listed = ", ".join(one.id for one in known)
        raise NoSuchRevision(f"There is no schema revision {wanted!r}; there are {listed}.")
    return found[0]


def steps(current: str | None, target: Revision) -> list[Revision]:
    """The revisions that are applied on the way up to a target, or taken back on the way down to it, in order."""
    known = revisions()
    here, there = _place(known, current), known.index(target)
    return known[here + 1 : there + 1] if there >= here else list(reversed(known[there + 1 : here + 1]))


def _place(known: list[Revision], current: str | None) -> int:
    ids = [one.id for one in known]
    if (current or BASE.id) not in ids:
        raise NoSuchRevision(f"The database is at revision {current!r}, which this version does not know.")
    return ids.index(current or BASE.id)


def statements(url: str | sa.URL, current: str | None, target: Revision) -> str:
    """The SQL that would bring a database from its revision to another one. The database is not touched.

    Args:
        url: of the database.
        current: the revision it is at.
        target: where to.
    """
    down = _place(revisions(), current) > _place(revisions(), target.id)
    command = alembic.command.downgrade if down else alembic.command.upgrade
    parsed = parse_url(url)
    if is_sqlite(parsed):
        return _tried_on_a_copy(sqlite_path(parsed), command, target)
    config = migrate.configuration(None)
    config.attributes["dialect"] = parsed.get_backend_name()
    config.output_buffer = io.StringIO()
    command(config, f"{current or 'base'}:{target.id}", sql=True)
    return config.output_buffer.getvalue()


def _tried_on_a_copy(path: str, command: Callable[..., None], target: Revision) -> str:
    """What a migration does to an empty copy of an SQLite file: which statements depends on what is there."""
    said: list[str] = []
    with _schema_copy(path) as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.set_trace_callback(said.append)
        command(migrate.configuration(connection), target.id)
        raw.set_trace_callback(None)
    skipped = ("SELECT", "PRAGMA", "BEGIN", "COMMIT", "ROLLBACK")
    kept = [one.strip() for one in said if not one.lstrip().upper().startswith(skipped)]
    return "".join(f"{one};\n\n" for one in kept)


@contextlib.contextmanager
def _schema_copy(path: str) -> Iterator[sa.Connection]:
    """A database in memory with the tables of a file, and without their rows but the revision."""
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(connect(path, read_only=True)) as original:
        for (sql,) in original.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        ):
            copy.execute(sql)
        for (revision,) in original.execute("SELECT version_num FROM alembic_version"):
            copy.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
    engine = sa.create_engine("sqlite://", creator=lambda: copy, poolclass=StaticPool)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def new_revision(message: str, url: str | sa.URL | None) -> str:
    """Write the file of a new migration, and return its path. For those who change the tables.

    Args:
        message: what it brings.
        url: a database at the newest revision, with which the tables are compared to write the steps; None for none.
    """
    number = f"{len(revisions()):04d}"
    if url is None:
        made = alembic.command.revision(migrate.configuration(None), message, rev_id=number)
    else:
        with migrate.connected(url, write=False) as connection:
            made = alembic.command.revision(
                migrate.configuration(connection), message, autogenerate=True, rev_id=number
            )
    script = made[0] if isinstance(made, list) else made
    if script is None:
        raise RuntimeError("Alembic wrote no migration.")
    return str(script.path)
