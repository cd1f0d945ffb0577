"""The API answers as the published server did: on both databases, over HTTP and in the same process.

What that server answered is kept in `recorded/` (`record.py` asks it anew); `differences.py` has what differs on purpose.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import sqlalchemy as sa

from conformance import facts
from conformance.differences import DIFFERENCES, NOT_EMBEDDED, Steps
from conformance.record import asking, read_json
from conformance.scenarios import SCENARIOS, STREAMS
from conformance.script import Send, Step, play
from conformance.sockets import opened
from prefect._operations.local import LocalDatabase
from prefect._store.announcements import collected
from prefect._store.dialects import make_engine
from prefect._store.schema import POSTGRESQL_SCRIPT, read_script
from prefect._transport.embedded import EmbeddedTransport
from prefect._transport.errors import OperationUnavailable
from prefect._transport.port import Request
from served.servers import Server
from store.conftest import PostgreSQL
from store.conftest import postgresql as postgresql

HERE = Path(__file__).parent
ROWS = HERE.parent / "server" / "DIFFERENCES.md"

# what happens by itself would happen while a scenario looks
_CALM = {
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
}


EVERYTHING = SCENARIOS | STREAMS


@dataclass(frozen=True)
class Way:
    """A way to ask."""

    send: Send
    url: str | None = None
    """Of the server, where there is one."""


class PostgreSQLInProcess(LocalDatabase):
    """A PostgreSQL database where the operations of a process without a server otherwise find an SQLite file."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(str(folder / "none.db"))
        self._url = url

    def create(self) -> None:
        """Its tables are there."""

    def _make_engine(self) -> sa.Engine:
        return make_engine(self._url)

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        with self._open().connect() as connection, connection.begin():
            yield connection
            collected(connection)


class InProcess(EmbeddedTransport):
    """Calls the operations in this process, on a database of the test."""

    def __init__(self, database: LocalDatabase) -> None:
        super().__init__()
        database.create()
        self._database = database
        self._holds_file = True

    def ask(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        route, _, query = path.partition("?")
        content = None if body is None else json.dumps(body).encode()
        try:
            reply = self.send(Request(method, route, query=dict(parse_qsl(query)), content=content))
        except OperationUnavailable:
            return 404, None
        return reply.status, read_json(reply.content)


@pytest.fixture(scope="module")
def ways(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Way]]:
    """Makes what sends requests: through a server or not, to SQLite or PostgreSQL; each when it is first asked for."""
    made: dict[str, Way] = {}
    with contextlib.ExitStack() as stack:

        def sending(way: str) -> Way:
            if way not in made:
                how, _, kind = way.partition(" ")
                folder = tmp_path_factory.mktemp("conformance")
                url = f"sqlite:///{folder}/pluperfect.db"
                if kind == "postgresql":
                    server: PostgreSQL = request.getfixturevalue("postgresql")
                    url = server.database(how, "" if how == "served" else read_script(POSTGRESQL_SCRIPT))
                opened = _served(folder, url) if how == "served" else _in_process(folder, url)
                made[way] = stack.enter_context(opened)
            return made[way]

        yield sending


@contextlib.contextmanager
def _served(folder: Path, url: str) -> Iterator[Way]:
    server = Server(folder, PREFECT_SERVER_DATABASE_CONNECTION_URL=url, **_CALM).start()
    try:
        yield Way(asking(server.url), server.url)
    finally:
        server.stop()


@contextlib.contextmanager
def _in_process(folder: Path, url: str) -> Iterator[Way]:
    is_file = url.startswith("sqlite")
    database = LocalDatabase(url.removeprefix("sqlite:///")) if is_file else PostgreSQLInProcess(url, folder)
    transport = InProcess(database)
    try:
        yield Way(transport.ask)
    finally:
        transport.close()


def unlike(scenario: str, steps: list[Step], *tables: dict[str, Steps]) -> list[str]:
    """What of a scenario is neither as the facts have it nor as one of the tables says."""
    comparison = facts.Comparison()
    known = {
        step: differences
        for table in tables
        for marked in table.values()
        for (name, step), differences in marked.items()
        if name == scenario
    }
    recorded = facts.read(scenario)
    problems: list[str] = []
    for fact, step in zip(recorded, steps, strict=False):
        found = comparison.differences(fact, step)
        if found != known.get(step.name, []):
            problems.append(f"{step.name}\n  is unlike: {found}\n  expected:  {known.get(step.name, [])}")
    if len(recorded) != len(steps):
        problems.append(f"{len(recorded)} steps were recorded, here there are {len(steps)}: record the scenario anew")
    return problems


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("way", ["served sqlite", "served postgresql", "embedded sqlite", "embedded postgresql"])
def test_answers(scenario: str, way: str, ways: Callable[[str], Way]) -> None:
    steps = play(SCENARIOS[scenario], ways(way).send)
    tables = (DIFFERENCES, NOT_EMBEDDED) if way.startswith("embedded") else (DIFFERENCES,)
    problems = unlike(scenario, steps, *tables)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("scenario", STREAMS)
@pytest.mark.parametrize("way", ["served sqlite", "served postgresql"])
def test_streams(scenario: str, way: str, ways: Callable[[str], Way]) -> None:
    asked = ways(way)
    assert asked.url is not None
    with opened(asked.url, asked.send) as talk:
        steps = play(STREAMS[scenario], asked.send, talk)
    problems = unlike(scenario, steps, DIFFERENCES)
    assert not problems, "\n".join(problems)


def test_every_operation_is_asked_and_succeeds() -> None:
    wanted = (HERE / "operations.txt").read_text().splitlines()
    succeeded: set[str] = set()
    for scenario in SCENARIOS:
        for fact in facts.read(scenario):
            method, _, path = fact["step"].partition(" #")[0].partition(" ")
            if fact["status"] < 400:
                succeeded |= {operation for operation in wanted if _is_for(operation, method, path.partition("?")[0])}
    assert [operation for operation in wanted if operation not in succeeded] == _ONLY_REFUSED
    assert len(wanted) == 187


_ONLY_REFUSED = ["GET /csrf-token"]
"""Gives tokens only where protection from forged requests is on: see `tests/served/test_connection.py`."""


def _is_for(operation: str, method: str, path: str) -> bool:
    declared, _, route = operation.partition(" ")
    return declared == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", route), path) is not None


def test_differences_have_their_reasons() -> None:
    rows = {line.split("|")[1].strip() for line in ROWS.read_text().splitlines() if line.startswith("|")}
    assert [row for row in DIFFERENCES if row not in rows] == []
    steps = {(scenario, fact["step"]) for scenario in EVERYTHING for fact in facts.read(scenario)}
    marked = [key for table in (DIFFERENCES, NOT_EMBEDDED) for one in table.values() for key in one]
    assert [key for key in marked if key not in steps] == []
    assert len(marked) == len(set(marked))


def test_facts_are_kept_of_all_scenarios_and_of_nothing_else() -> None:
    assert sorted(path.stem for path in facts.FOLDER.glob("*.json")) == sorted(EVERYTHING)


_PEER = os.environ.get("PLUPERFECT_PEER", "")
_A_FEW = ("flows", "pausing", "variables", "work_pool_queues")


class Published(Server):
    """A server of the published package, which is beside the interpreter or the command that the variable names."""

    command = (str(Path(_PEER).parent / "prefect"),)


_ON_POSTGRESQL = ("logs", "events", "words_in_logs", "words_in_events", *STREAMS)
"""What was recorded there: the published server searches for words on no SQLite that is older than 3.44."""
_STREAMING = {
    "PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED": "true",
    "PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED": "true",
}


@pytest.mark.skipif(not _PEER, reason="PLUPERFECT_PEER names no interpreter that has Prefect 3.8")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_facts_are_still_true(kind: str, request: pytest.FixtureRequest, tmp_path: Path, soak: bool) -> None:
    settings = dict(_CALM)
    if kind == "postgresql":
        wanted = _ON_POSTGRESQL
        database: PostgreSQL = request.getfixturevalue("postgresql")
        url = database.database("published", driver="postgresql+asyncpg")
        settings |= {"PREFECT_SERVER_DATABASE_CONNECTION_URL": url, **_STREAMING}
    else:
        wanted = tuple(name for name in SCENARIOS if name not in _ON_POSTGRESQL) if soak else _A_FEW
    server = Published(tmp_path, HOME=str(tmp_path), DO_NOT_TRACK="1", **settings).start()
    try:
        for scenario in wanted:
            send = asking(server.url)
            with opened(server.url, send) as talk:
                anew = json.loads(facts.text_of(play(EVERYTHING[scenario], send, talk)))
            for before, now in zip(facts.read(scenario), anew, strict=True):
                # a failure depends on what the server is installed with, and is nothing that anybody relies on
                assert now == before or before["status"] == 500, scenario
    finally:
        server.stop()
