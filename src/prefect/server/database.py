"""The server's database: many readers, and writers that share commits.

On SQLite one connection writes; requests that write at the same time are committed together, each under its own
savepoint (`prefect._store.writer`), and readers have connections of their own. On PostgreSQL every request has a
connection of a pool.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc
from sqlalchemy.pool import QueuePool, StaticPool

from prefect._lazy import lazy_module
from prefect._store import sqlite
from prefect._store.announcements import Bus, collected
from prefect._store.dialects import is_sqlite, make_engine, parse_url, sqlite_path
from prefect._store.schema import POSTGRESQL_SCRIPT, read_script, statements
from prefect._store.writer import Unit, Writer
from prefect.server.notifications import FileWatch, PostgreSQLAnnouncements
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from prefect import plugins
    from prefect._store import migrate
    from prefect.settings import Settings
    from prefect.settings.models.server.database import ServerDatabaseSettings, SQLAlchemyTLSSettings
else:
    plugins = lazy_module("prefect.plugins")
    migrate = lazy_module("prefect._store.migrate")  # Alembic is for older databases only

T = TypeVar("T")

_READERS = 16
_STEPS = 10_000
"""So many steps SQLite takes, in some tenths of a millisecond, before a read that is to be brief is asked whether it still is."""
_LONG_READ = 0.03
"""Seconds after which nobody waits any more for somebody who reads."""
_LONGEST_WAIT = 0.5
_MORE_READERS = 48


class TookLong(Exception):
    """A read was broken off."""


class Database(Protocol):
    """Where a server keeps everything. Usable from any thread."""

    bus: Bus
    """Told what was announced in the transactions of `write`, once they are committed."""

    def open(self) -> None:
        """Connect, and bring the schema up to date."""

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work(tx)`, which reads. On SQLite it sees one moment of the database, elsewhere each of its statements does."""
        ...

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work(tx)` in a transaction and return its value once it is committed.

        It may be run more than once, if the database takes back what it wrote.

        Raises:
            DatabaseUnavailable: the database cannot be opened or written; nothing of this work was written.
            Exception: whatever `work` raised; nothing it wrote is kept.
        """
        ...

    def close(self) -> None:
        """Write what is pending and let go of all connections."""


def make_database(url: str, *, migrate_on_start: bool = True, pool: Mapping[str, Any] | None = None) -> Database:
    """The database of a URL, not yet open.

    Args:
        url: an SQLite or PostgreSQL URL; SQLite in memory is kept in a temporary file that ends with the server.
        migrate_on_start: bring an older schema up to date when it is opened.
        pool: arguments of `sqlalchemy.create_engine` about the connections to PostgreSQL; of them `echo` counts for
            SQLite, too.
    """
    parsed = parse_url(url)
    if not is_sqlite(parsed):
        return PostgreSQLDatabase(parsed, migrate_on_start=migrate_on_start, pool=pool)
    path = sqlite_path(parsed)
    return SQLiteDatabase(None if path == ":memory:" else os.path.abspath(path), echo=bool((pool or {}).get("echo")))


def database_of(settings: Settings) -> Database:
    """The database that a server with these settings keeps everything in, not yet open."""
    url = settings.server.database.connection_url
    return make_database(
        url.get_secret_value() if url else f"sqlite:///{settings.home / 'pluperfect.db'}",
        migrate_on_start=settings.server.database.migrate_on_start,
        pool=_connections(settings.server.database, url.get_secret_value() if url else ""),
    )


def _tls(settings: SQLAlchemyTLSSettings) -> dict[str, str]:
    """The arguments of libpq for what the settings say about TLS."""
    if not settings.enabled:
        return {}
    checked = "verify-full" if settings.check_hostname else "verify-ca" if settings.ca_file else "require"
    # without a file of authorities: those of the system, which libpq takes only together with the host's name
    authorities = settings.ca_file or ("system" if settings.check_hostname else None)
    given = {"sslrootcert": authorities, "sslcert": settings.cert_file, "sslkey": settings.key_file}
    return {"sslmode": checked, **{name: value for name, value in given.items() if value is not None}}


def _connections(settings: ServerDatabaseSettings, url: str) -> dict[str, Any]:
    """How a server connects to PostgreSQL, and how long it waits for it; what the URL says comes first."""
    arguments: dict[str, Any] = {"application_name": settings.sqlalchemy.connect_args.application_name or "prefect"}
    if settings.connection_timeout is not None:
        arguments["connect_timeout"] = max(1, math.ceil(settings.connection_timeout))
    given = {"search_path": settings.sqlalchemy.connect_args.search_path}
    if settings.timeout is not None:
        given["statement_timeout"] = str(max(1, round(settings.timeout * 1000)))
    # blanks end a value unless they are escaped
    options = [f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in given.items() if value is not None]
    if options and "options=" not in url:
        arguments["options"] = " ".join(options)
    if "sslmode=" not in url:
        arguments |= _tls(settings.sqlalchemy.connect_args.tls)
    if settings.sqlalchemy.connect_args.statement_cache_size == 0:  # as poolers between us and PostgreSQL may want it
        arguments["prepare_threshold"] = None
    limits = settings.sqlalchemy
    return {
        "pool_size": limits.pool_size,
        "max_overflow": limits.max_overflow,
        "pool_timeout": _FOR_EVER if limits.pool_timeout is None else limits.pool_timeout,
        "pool_recycle": limits.pool_recycle,
        "echo": settings.echo,
        "connect_args": arguments,
    }


class _Turns:
    """Lets those who read an SQLite file do so one after the other, unless one takes long.

    `sqlite3` lets go of the interpreter before each row, and whoever else wants to run then takes it: sixteen threads
    that read at once need three times the processor time of sixteen that take turns. There is nothing to be gained from
    reading at once, but for those who would wait for a long read: they go on beside it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = 0.0

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """A turn, for as long as the block lasts."""
        is_mine = self._wait()
        try:
            yield
        finally:
            if is_mine:
                self._lock.release()

    def _wait(self) -> bool:
        """Wait for one's turn; False when somebody takes long, and one goes on without."""
        is_mine, end = self._lock.acquire(blocking=False), time.monotonic() + _LONGEST_WAIT
        while not is_mine:
            left = self._since + _LONG_READ - time.monotonic()
            if left <= 0 or time.monotonic() > end:
                return False
            is_mine = self._lock.acquire(timeout=left)
        self._since = time.monotonic()
        return True


class SQLiteDatabase:
    """An SQLite file.

    Args:
        path: the file, made when it does not exist; None for a temporary one.
        echo: log every statement.
    """

    def __init__(self, path: str | None, *, echo: bool = False) -> None:
        self.bus = Bus()
        self._folder = None
        if path is None:
            self._folder = tempfile.TemporaryDirectory(prefix="prefect-server-")
            path = os.path.join(self._folder.name, "pluperfect.db")
        self.path = path
        self._writer = Writer(self.path)
        self._writing = _View(echo)
        self._watch = FileWatch(self._writer, self.bus)
        self._turns = _Turns()
        self._brief = _BriefReads(self._connect, echo)
        self._readers = sa.create_engine(
            "sqlite://",
            creator=self._connect,
            poolclass=QueuePool,
            pool_size=_READERS,
            max_overflow=_MORE_READERS,
            echo=echo,
        )
        event.listen(self._readers, "begin", _begin)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite.connect(self.path)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def open(self) -> None:
        self._writer.commit(lambda connection: None)  # opens the file, makes or upgrades its schema
        self._watch.start()

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        with self._turns.taken(), self._readers.connect() as tx, tx.begin():
            return work(tx)

    def read_briefly(self, work: Callable[[sa.Connection], T], seconds: float) -> T:
        """As `read`, by a connection that is kept for this, if the database has answered within `seconds`.

        Raises:
            TookLong: it has not, or somebody else reads in this way just now.
        """
        return self._brief.read(work, seconds)

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        (outcome,) = self.write_together([work])
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def write_together(self, works: Sequence[Callable[[sa.Connection], Any]]) -> list[Unit]:
        """Write, as `write` does, several pieces of work in one transaction; what fails of them undoes nothing else.

        Returns:
            what came of each, in their order.
        """
        topics: set[str] = set()
        units = self._units(works, topics)
        try:
            self._writer.commit_all(units)
        except Exception as error:  # each tells it to whoever waits for it
            for unit in units:
                unit.error = unit.error or error
        self._publish(units, topics)
        return units

    def write_at_once(self, works: Sequence[Callable[[sa.Connection], Any]]) -> list[Unit] | None:
        """As `write_together`, unless that means to wait for others; None then: nothing was begun.

        Somebody should call one of the others now and then: only they wait until SQLite has moved to the file what was
        written.
        """
        topics: set[str] = set()
        units = self._units(works, topics)
        try:
            if not self._writer.commit_at_once(units):
                return None
        except Exception as error:
            for unit in units:
                unit.error = unit.error or error
        self._publish(units, topics)
        return units

    def _units(self, works: Iterable[Callable[[sa.Connection], Any]], topics: set[str]) -> list[Unit]:
        return [Unit(functools.partial(self._do, work, topics)) for work in works]

    def _publish(self, units: Iterable[Unit], topics: set[str]) -> None:
        if any(unit.error is None for unit in units):
            self.bus.publish(topics)

    def _do(self, work: Callable[[sa.Connection], T], topics: set[str], connection: sqlite3.Connection) -> T:
        tx = self._writing.on(connection)
        collected(tx)  # of a unit before this one, whose work failed
        try:
            value = work(tx)
            topics.update(collected(tx))
            return value
        except sa_exc.OperationalError as exc:
            if isinstance(exc.orig, sqlite3.OperationalError) and _is_about_the_file(exc.orig):
                raise exc.orig from exc  # nobody in this commit can go on
            raise

    def close(self) -> None:
        self._watch.close()
        self._brief.close()
        self._readers.dispose()
        self._writer.close()
        if self._folder is not None:
            self._folder.cleanup()


def _is_about_the_file(error: sqlite3.OperationalError) -> bool:
    """Whether the file cannot be written (full disk, I/O error, lock), and not only this statement."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF not in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH)


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


class _BriefReads:
    """Reads that are broken off when they take long.

    Args:
        connect: opens the connection that they use.
        echo: log every statement.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], echo: bool) -> None:
        self._connect = connect
        self._view = _View(echo)
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._end = 0.0

    def read(self, work: Callable[[sa.Connection], T], seconds: float) -> T:
        if not self._lock.acquire(blocking=False):
            raise TookLong
        try:
            if self._connection is None:
                self._connection = self._connect()
                self._connection.set_progress_handler(self._is_late, _STEPS)
            self._end = time.monotonic() + seconds
            return self._in_transaction(self._connection, work)
        except (
            sa_exc.OperationalError,
            sqlite3.OperationalError,
        ) as exc:  # SQLAlchemy's where it fetched the rows itself
            if getattr(getattr(exc, "orig", exc), "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise TookLong from exc
            raise
        finally:
            self._lock.release()

    def _in_transaction(self, connection: sqlite3.Connection, work: Callable[[sa.Connection], T]) -> T:
        connection.execute("BEGIN")
        try:
            return work(self._view.on(connection))
        finally:
            self._end = math.inf
            connection.execute("ROLLBACK")

    def _is_late(self) -> bool:
        return time.monotonic() > self._end

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


class _Borrowed:
    """A connection that is lent to SQLAlchemy: its owner alone begins, commits and closes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...


class _View:
    """SQLAlchemy's view of a connection that somebody else has open. Used by one thread at a time."""

    def __init__(self, echo: bool) -> None:
        self._echo = echo
        self._raw: sqlite3.Connection | None = None
        self._connection: sa.Connection | None = None

    def on(self, raw: sqlite3.Connection) -> sa.Connection:
        if self._connection is None or raw is not self._raw:
            engine = sa.create_engine(
                "sqlite://", creator=lambda: _Borrowed(raw), poolclass=StaticPool, echo=self._echo
            )
            self._raw, self._connection = raw, engine.connect()
        elif self._connection.in_transaction():
            self._connection.rollback()  # of SQLAlchemy's books; the transaction itself is that of the owner
        self._connection.begin()
        return self._connection


class PostgreSQLDatabase:
    """A PostgreSQL database.

    Args:
        url: of the database.
        migrate_on_start: bring an older schema up to date when it is opened.
        pool: arguments of `sqlalchemy.create_engine` about connections.
    """

    def __init__(self, url: sa.URL, *, migrate_on_start: bool = True, pool: Mapping[str, Any] | None = None) -> None:
        self.bus = Bus()
        self.url = url
        self._migrate_on_start = migrate_on_start
        # a connection that was lost is noticed by who uses it, and what it was used for is done again
        self._engine = make_engine(url, pool={**(pool or {}), **_all_kept(pool or {}), "pool_pre_ping": False})
        self._surplus = _Surplus(self._engine, (pool or {}).get("pool_size", _KEPT))
        # a statement sees one moment anyway: to begin and to end a transaction around it would be two more questions
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        event.listen(self._engine, "do_connect", self._add_arguments)
        self._announcements = PostgreSQLAnnouncements(self._engine, self.bus)

    def _add_arguments(self, dialect: Any, record: Any, args: list[Any], arguments: dict[str, Any]) -> None:
        settings = get_current_settings()
        if settings.plugins.enabled:
            url = self.url.render_as_string(hide_password=True)
            arguments.update(plugins.database_connection_params(url, settings))

    def open(self) -> None:
        if self._migrate_on_start:
            self._bring_up_to_date()
        self._announcements.start()

    def _bring_up_to_date(self) -> None:
        with self._engine.begin() as tx:
            # replicas that start together do this one after the other, and wait for as long as it takes
            tx.exec_driver_sql("SET LOCAL statement_timeout = 0")
            tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
            if not sa.inspect(tx).get_table_names():
                for statement in statements(read_script(POSTGRESQL_SCRIPT)):
                    tx.exec_driver_sql(statement)
                return
        migrate.upgrade(self.url)

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        self._surplus.close_unused()
        try:
            with self._reading.connect() as tx:
                return work(tx)
        except sa_exc.DBAPIError as exc:
            if not exc.connection_invalidated:
                raise
        with self._reading.connect() as tx:
            return work(tx)

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        value, topics = self._until_done(work)
        self.bus.publish(topics)
        self._announcements.announce(topics)
        return value

    def _until_done(self, work: Callable[[sa.Connection], T]) -> tuple[T, Collection[str]]:
        for attempt in itertools.count(1):
            is_done = False
            try:
                with self._engine.begin() as tx:
                    collected(tx)  # of an earlier transaction on this connection, which failed
                    value = work(tx)
                    is_done = True  # but for the commit
                    topics = collected(tx)
                return value, topics
            except sa_exc.DBAPIError as exc:
                # rolled back by the database, because of others; or the connection was lost before the commit
                is_lost = exc.connection_invalidated and not is_done
                refused = getattr(exc.orig, "sqlstate", None) in _TRY_AGAIN
                if not (is_lost or refused) or attempt == _MOST_ATTEMPTS:
                    raise
                if refused:
                    time.sleep(random.uniform(0, 0.02 * attempt))  # the others do so, too
        raise AssertionError("Nobody counts so far.")

    def close(self) -> None:
        self._announcements.close()
        self._engine.dispose()


def _all_kept(pool: Mapping[str, Any]) -> dict[str, int]:
    """A pool that keeps all the connections that it may open: to open one takes longer than most of what it is used for."""
    kept, more = pool.get("pool_size", _KEPT), pool.get("max_overflow", 0)
    return {} if kept <= 0 or more <= 0 else {"pool_size": kept + more, "max_overflow": 0}


class _Surplus:
    """Closes the connections that were opened when there was much to do, once there has been less for a while.

    Args:
        engine: whose connections.
        kept: how many stay open in any case.
    """

    def __init__(self, engine: sa.Engine, kept: int) -> None:
        self._engine = engine
        self._kept = kept
        self._most = 0
        self._since = time.monotonic()
        event.listen(engine, "checkout", self._count)

    def _count(self, connection: Any, record: Any, proxy: Any) -> None:
        self._most = max(self._most, _in_use(self._engine))

    def close_unused(self) -> None:
        """Close them, if for some minutes nobody needed them."""
        if (now := time.monotonic()) - self._since > _SURPLUS_SECONDS:
            most, self._most, self._since = self._most, _in_use(self._engine), now
            if most <= self._kept < self._engine.pool.checkedin():  # type: ignore[attr-defined]
                self._engine.dispose()  # those in use are closed when they come back


def _in_use(engine: sa.Engine) -> int:
    return engine.pool.checkedout()  # type: ignore[attr-defined, no-any-return]


_KEPT = 5
_SURPLUS_SECONDS = 300.0
_FOR_EVER = 1e6
_MOST_ATTEMPTS = 5
_TRY_AGAIN = ("40001", "40P01")  # a serialisation failure, a deadlock
_SCHEMA_LOCK = 0x50_6C_75_70  # any number that nobody else locks
