"""Bring a database from one schema revision to another."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import alembic.command
import sqlalchemy as sa
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import exc as sa_exc

from prefect._store.dialects import is_sqlite, make_engine, parse_url, sqlite_path
from prefect._store.sqlite import DatabaseUnavailable
from prefect._store.tables import metadata

SCRIPTS = Path(__file__).parent / "migrations"


class UnknownSchema(DatabaseUnavailable):
    """The database holds tables of another program, or of a version that is not this one's ancestor."""

    def __init__(self, url: sa.URL, revision: str | None) -> None:
        self.path = sqlite_path(url) if is_sqlite(url) else url.render_as_string(hide_password=True)
        self.revision = revision
        found = "has tables but no schema revision" if revision is None else f"is at schema revision {revision!r}"
        Exception.__init__(
            self,
            f"The run database {self.path} {found}, which this version does not know: another program or a newer "
            "version made it. Upgrade, or set PREFECT_HOME (or PREFECT_SERVER_DATABASE_CONNECTION_URL) to another place.",
        )


def head() -> str:
    """The newest revision."""
    revision = ScriptDirectory(str(SCRIPTS)).get_current_head()
    if revision is None:
        raise RuntimeError(f"There are no migrations in {SCRIPTS}.")
    return revision


def current(url: str | sa.URL) -> str | None:
    """The revision a database is at, or None for one without a revision.

    Raises:
        DatabaseUnavailable: the SQLite file does not exist or cannot be read.
    """
    try:
        with connected(url, write=False) as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except sa_exc.OperationalError as exc:
        raise DatabaseUnavailable(str(url), exc.orig or exc) from exc


def upgrade(url: str | sa.URL, revision: str = "head") -> None:
    """Bring a database up to a revision, in one transaction.

    Raises:
        UnknownSchema: the database is not one of ours, or of a newer version.
    """
    with connected(url, write=True) as connection:
        _check_known(connection, parse_url(url))
        alembic.command.upgrade(configuration(connection), revision)


def downgrade(url: str | sa.URL, revision: str) -> None:
    """Bring a database back to a revision (`"base"`: no tables), in one transaction.

    Raises:
        UnknownSchema: the database is not one of ours, or of a newer version.
    """
    with connected(url, write=True) as connection:
        _check_known(connection, parse_url(url))
        alembic.command.downgrade(configuration(connection), revision)


def stamp(url: str | sa.URL, revision: str = "head") -> None:
    """Record that a database is at a revision, without changing its tables."""
    with connected(url, write=True) as connection:
        alembic.command.stamp(configuration(connection), revision, purge=True)


def reset(url: str | sa.URL) -> None:
    """Delete everything we keep in a database and give it the newest schema, in one transaction."""
    with connected(url, write=True) as connection:
        metadata.drop_all(connection)
        connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
        alembic.command.upgrade(configuration(connection), "head")


def offline_sql(dialect: str, revision: str = "head") -> str:
    """The statements that bring an empty database of a dialect to a revision, for review or for `psql`."""
    config = configuration(None)
    config.attributes["dialect"] = dialect
    config.output_buffer = io.StringIO()
    alembic.command.upgrade(config, revision, sql=True)
    return config.output_buffer.getvalue()


def configuration(connection: sa.Connection | None) -> Config:
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


@contextlib.contextmanager
def connected(url: str | sa.URL, *, write: bool) -> Iterator[sa.Connection]:
    """A connection in a transaction of its own. It takes no lock beside the database's: the caller may hold ours."""
    parsed = parse_url(url)
    engine = make_engine(parsed, read_only=not write, foreign_keys=False)
    try:
        with engine.connect().execution_options(write=write) as connection, connection.begin():
            yield connection
            if write and is_sqlite(parsed):
                _check_foreign_keys(connection)
    finally:
        engine.dispose()


def _check_known(connection: sa.Connection, url: sa.URL) -> None:
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        if set(sa.inspect(connection).get_table_names()) - {"alembic_version"}:
            raise UnknownSchema(url, None)
        return
    known = {script.revision for script in ScriptDirectory(str(SCRIPTS)).walk_revisions()}
    if revision not in known:
        raise UnknownSchema(url, revision)


def _check_foreign_keys(connection: sa.Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise sa_exc.IntegrityError(
            f"The migration would leave a row of {broken[0]!r} that refers to a missing row of {broken[2]!r}.",
            None,
            sa_exc.SQLAlchemyError(str(tuple(broken))),
        )
