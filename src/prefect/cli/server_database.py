"""`prefect server database`: bring the database of the server from one schema to another."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _console, _output
from prefect.cli._options import Yes, flag
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import alembic.util as alembic_util
    import sqlalchemy as sa
    import sqlalchemy.exc as sa_exc

    from prefect._store import dialects, migrate, migration_plan, sqlite
else:
    alembic_util = lazy_module("alembic.util")
    sa = lazy_module("sqlalchemy")
    sa_exc = lazy_module("sqlalchemy.exc")
    dialects = lazy_module("prefect._store.dialects")
    migrate = lazy_module("prefect._store.migrate")
    migration_plan = lazy_module("prefect._store.migration_plan")
    sqlite = lazy_module("prefect._store.sqlite")

app = App(name="database", help="See to the schema of the database.")

DryRun = Annotated[bool, flag("Print the SQL instead of running it.")]


@app.command
def upgrade(
    *,
    yes: Yes = False,
    revision: Annotated[
        str, Parameter(name=["--revision", "-r"], help="Up to which revision; or such as +1.")
    ] = "head",
    dry_run: DryRun = False,
) -> None:
    """Bring the schema of the database up to date."""
    with _database() as url:
        current = _current(url)
        target = migration_plan.resolve(revision, current)
        steps = migration_plan.steps(current, target)
        if current is not None and _is_below(target, current):
            _console.fail(
                f"{_shown(url)} is at revision {current}, which is newer than {target.id}; "
                f"`prefect server database downgrade --revision {target.id}` goes back."
            )
        if not steps:
            print(f"{_shown(url)} is at revision {current} already.")
        elif dry_run:
            print(migration_plan.statements(url, current, target))
        else:
            _say_steps(url, "Upgrade", steps)
            _console.agree(f"Upgrade {_shown(url)} to revision {target.id}?", yes)
            with _alone(url):
                migrate.upgrade(url, target.id)
            print(f"{_shown(url)} is at revision {target.id}.")


@app.command
def downgrade(
    *,
    yes: Yes = False,
    revision: Annotated[
        str,
        Parameter(
            name=["--revision", "-r"], help="Back to which revision; or such as -1, or base.", allow_leading_hyphen=True
        ),
    ] = "-1",
    dry_run: DryRun = False,
) -> None:
    """Bring the schema of the database back. What newer revisions keep is lost."""
    with _database() as url:
        current = _current(url)
        target = migration_plan.resolve(revision, current)
        steps = migration_plan.steps(current, target)
        if not steps or not _is_below(target, current):
            _console.fail(f"{_shown(url)} is at revision {current or 'base'}; {target.id} is not below it.")
        if dry_run:
            print(migration_plan.statements(url, current, target))
            return
        _say_steps(url, "Take back", steps)
        _must_agree(f"Downgrade {_shown(url)} to revision {target.id}, and lose what newer ones keep?", yes)
        with _alone(url):
            migrate.downgrade(url, target.id)
        print(f"{_shown(url)} is at revision {target.id}.")


@app.command
def reset(*, yes: Yes = False) -> None:
    """Delete everything in the database."""
    with _database() as url:
        _must_agree(f"Delete everything in {_shown(url)}?", yes)
        with _alone(url):
            migrate.reset(url)
        print(f"{_shown(url)} is empty, at revision {migrate.head()}.")


@app.command
def stamp(revision: Annotated[str, Parameter(help="The revision: an id, or head.")]) -> None:
    """Record that the database is at a revision, without changing its tables."""
    with _database() as url:
        target = migration_plan.resolve(revision, None)
        with _alone(url):
            migrate.stamp(url, target.id)
        print(f"{_shown(url)} is marked as being at revision {target.id}.")


@app.command(name="revision")
def new_revision(
    *,
    message: Annotated[str, Parameter(name=["--message", "-m"], help="What it brings.")] = "",
    autogenerate: Annotated[bool, flag("Write its steps by comparing the tables with the database.")] = False,
) -> None:
    """Write the file of a new migration, for those who change the tables of this package."""
    if not message.strip():
        _console.usage("Say what the migration brings: --message.")
    with _database() as url:
        path = migration_plan.new_revision(message, url if autogenerate else None)
    print(f"Wrote {path}.")


@contextlib.contextmanager
def _database() -> Iterator[sa.URL]:
    """The address of the server's database; its errors are told in one line."""
    configured = get_current_settings().server.database.connection_url
    text = configured.get_secret_value() if configured else ""
    if not text or ":memory:" in text:
        text = f"sqlite:///{get_current_settings().home / 'pluperfect.db'}"
    try:
        url = dialects.parse_url(text)
    except (dialects.UnsupportedDatabase, sa_exc.ArgumentError) as problem:
        _console.fail(str(problem))
    try:
        yield url
    except migrate.UnknownSchema:
        raise
    except sqlite.DatabaseUnavailable as problem:
        if dialects.is_sqlite(url):
            raise
        cause = getattr(problem.__cause__, "orig", None) or problem
        _console.fail(f"The database {_shown(url)} cannot be reached: {_output.one_line(str(cause), 500)}")
    except (sa_exc.OperationalError, sa_exc.ProgrammingError) as problem:
        _console.fail(f"The database says: {_output.one_line(str(problem.orig or problem), 500)}")
    except (alembic_util.CommandError, migration_plan.NoSuchRevision) as problem:
        _console.fail(str(problem))


def _shown(url: sa.URL) -> str:
    """The address of a database without its password."""
    return dialects.sqlite_path(url) if dialects.is_sqlite(url) else url.render_as_string(hide_password=True)


def _current(url: sa.URL) -> str | None:
    """The revision of a database; None when there is none, or no database yet."""
    if dialects.is_sqlite(url) and not os.path.exists(dialects.sqlite_path(url)):
        return None
    return migrate.current(url)


def _is_below(target: migration_plan.Revision, current: str | None) -> bool:
    ids = [one.id for one in migration_plan.revisions()]
    return ids.index(target.id) < ids.index(current or migration_plan.BASE.id)


@contextlib.contextmanager
def _alone(url: sa.URL) -> Iterator[None]:
    """Hold the write lock of an SQLite file, so that no program of ours writes to it meanwhile."""
    if not dialects.is_sqlite(url):
        yield
        return
    path = dialects.sqlite_path(url)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    lock = sqlite.WriteLock(f"{path}.lock")
    try:
        with lock:
            yield
    finally:
        lock.close()


def _say_steps(url: sa.URL, verb: str, steps: list[migration_plan.Revision]) -> None:
    print(f"{_shown(url)}:")
    for one in steps:
        print(f"  {verb} {one.id}: {one.title}")


def _must_agree(question: str, yes: bool) -> None:
    """Ask; where nobody can be asked, end the command: this cannot be undone."""
    if yes:
        return
    if not _console.can_ask():
        _console.usage(f"{question} Nobody can be asked here: say so with --yes.")
    _console.agree(question)
