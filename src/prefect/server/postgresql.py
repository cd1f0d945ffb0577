"""A server's database on PostgreSQL: each piece of work has a connection of a pool."""

from __future__ import annotations

import contextlib
import itertools
import logging
import random
import select
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc

from prefect._lazy import lazy_module
from prefect._store.announcements import Bus, collected
from prefect._store.dialects import make_engine
from prefect._store.schema import POSTGRESQL_SCRIPT, SCHEMA_REVISION, read_script
from prefect.server.notifications import PostgreSQLAnnouncements
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from prefect import plugins
    from prefect._store import migrate
else:
    plugins = lazy_module("prefect.plugins")
    migrate = lazy_module("prefect._store.migrate")  # Alembic is for older databases only

T = TypeVar("T")

_log = logging.getLogger("prefect.server")


class PostgreSQLDatabase:
    """A PostgreSQL database.

    Args:
        url: of the database.
        migrate_on_start: bring an older schema up to date when it is opened.
        pool: arguments of `sqlalchemy.create_engine` about connections.
    """

    def __init__(self, url: sa.URL, *, migrate_on_start: bool = True, pool: Mapping[str, Any] | None = None) -> None:
        pool = pool or {}
        self.bus = Bus()
        self.url = url
        self._migrate_on_start = migrate_on_start
        # a connection that was lost is noticed by who uses it, and what it was used for is done again
        self._engine = make_engine(url, pool={**pool, **_all_kept(pool), "pool_pre_ping": False})
        self._surplus = _Surplus(self._engine, pool.get("pool_size", _KEPT))
        # a statement is a transaction anyway: to begin and to end one around it would be two more questions
        self._each_alone = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        event.listen(self._engine, "do_connect", self._add_arguments)
        self._announcements = PostgreSQLAnnouncements(self._engine, self.bus)
        self._statistics = _FirstStatistics(self._each_alone)

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
            if _revision(tx) == SCHEMA_REVISION:
                return
            # replicas that start together do this one after the other, and wait for as long as it takes
            tx.exec_driver_sql("SET LOCAL statement_timeout = 0")
            tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
            if not sa.inspect(tx).get_table_names():
                tx.exec_driver_sql(read_script(POSTGRESQL_SCRIPT))  # all its statements in one message
                return
        migrate.upgrade(self.url)

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        self._surplus.close_unused()
        try:
            with self._each_alone.connect() as tx:
                return work(tx)
        except sa_exc.DBAPIError as exc:
            if not exc.connection_invalidated:
                raise
        with self._each_alone.connect() as tx:
            return work(tx)

    def write(self, work: Callable[[sa.Connection], T], *, alone: bool = False) -> T:
        value, topics = (self._alone(work) if alone else None) or self._until_done(work)
        self.bus.publish(topics)
        self._announcements.announce(topics)
        self._statistics.count_write()
        return value

    def _alone(self, work: Callable[[sa.Connection], T]) -> tuple[T, Collection[str]] | None:
        """Do work that is one statement; None when it was not begun, because the connection is as good as lost.

        It is not made up for when the connection is lost under it: nobody knows then whether it was done.
        """
        with self._each_alone.connect() as tx:
            connection: Any = tx.connection.driver_connection
            if select.select([connection.fileno()], [], [], 0)[0]:
                return None  # a database has nothing to say to who asks nothing, but that it ends
            collected(tx)
            return work(tx), collected(tx)

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


def _revision(tx: sa.Connection) -> str | None:
    """The schema revision of a database, None for one without."""
    if tx.exec_driver_sql("SELECT to_regclass('alembic_version')").scalar_one() is None:
        return None
    revision: str | None = tx.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()
    return revision


def _all_kept(pool: Mapping[str, Any]) -> dict[str, int]:
    """A pool that keeps all the connections that it may open: to open one takes longer than most of what it is used for."""
    kept, more = pool.get("pool_size", _KEPT), pool.get("max_overflow", 0)
    return {} if kept <= 0 or more <= 0 else {"pool_size": kept + more, "max_overflow": 0}


class _FirstStatistics:
    """Has PostgreSQL look at tables that are new and grow quickly.

    Its autovacuum does so, after a minute or two. Until then it plans for a few rows what is asked of thousands.

    Args:
        engine: of the database, in autocommit mode.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writes = 0

    def count_write(self) -> None:
        """Something was written. (That threads count at the same time and one is missed matters little.)"""
        self._writes += 1
        if self._writes % _WRITES_BETWEEN_LOOKS == 0 and self._writes <= _WRITES_LOOKED_AT:
            with contextlib.suppress(RuntimeError):  # the system has no thread left; what was written is written
                threading.Thread(target=self.look, name="prefect-statistics", daemon=True).start()

    def look(self) -> None:
        """Have those tables analysed that never were and have grown."""
        try:
            with self._engine.connect() as tx:
                for table in tx.execute(_NEVER_ANALYSED, {"rows": _WRITES_BETWEEN_LOOKS}).scalars().all():
                    tx.exec_driver_sql(f"ANALYZE {tx.dialect.identifier_preparer.quote(table)}")
        except sa_exc.SQLAlchemyError as exc:
            _log.debug("The statistics of new tables were not made: %s", exc)


_WRITES_BETWEEN_LOOKS = 500
_WRITES_LOOKED_AT = 10_000
_NEVER_ANALYSED = sa.text(
    "SELECT relname FROM pg_stat_user_tables WHERE schemaname = current_schema() "
    "AND last_analyze IS NULL AND last_autoanalyze IS NULL AND n_mod_since_analyze >= :rows ORDER BY relname"
)


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
_MOST_ATTEMPTS = 5
_TRY_AGAIN = ("40001", "40P01")  # a serialisation failure, a deadlock
_SCHEMA_LOCK = 0x50_6C_75_70  # any number that nobody else locks
