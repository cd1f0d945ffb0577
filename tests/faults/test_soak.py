"""Worker, runner, flow processes, server and database are killed and stopped, and clocks set, at random: what is left is
sound.

A short form runs by default. `--soak` runs for minutes, with other dice each time, and stops processes for longer than
their leases; `--soak-seconds N` says for how long.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from clocks import Clock
from prefect._clock import now
from prefect._rules.states import TERMINAL
from prefect._store.tables import (
    deployment,
    flow,
    flow_run,
    flow_run_state,
    log,
    run_lease,
    task_run,
    task_run_state,
)
from served.servers import until
from store.conftest import PostgreSQL
from store.conftest import postgresql as postgresql

from .scene import MAPPED, SLOTS, Mark, Scene, deploy, is_running

pytestmark = [pytest.mark.faults, pytest.mark.soak]

SHORT = 9.0
_END_SECONDS = 300.0
_LEASE = 60.0
SCHEDULE = 2.0


class Chaos:
    """Faults, one after the other, at random moments.

    Args:
        scene: what they happen to.
        dice: decides.
        restart: ends the database server and starts it again, where there is one.
        longer: whether processes may be stopped for longer than their leases.
    """

    def __init__(self, scene: Scene, dice: random.Random, restart: Callable[[], None] | None, longer: bool) -> None:
        self.scene, self.dice, self.longer = scene, dice, longer
        self.deployments: dict[str, UUID] = {}
        self.happened: Counter[str] = Counter()
        self._stopped: dict[int, float] = {}
        self.overslept: set[int] = set()
        """Processes that were stopped for longer than a lease lasts."""
        self._faults: list[Callable[[], str]] = [
            self.kill_flow, self.kill_flow, self.end_flow, self.stop_flow, self.kill_program, self.end_program,
            self.stop_program, self.kill_fork_server, self.kill_adhoc,
        ]  # fmt: skip
        self._outages: list[Callable[[], Any]] = [
            self.server_killed, self.server_ended, self.server_stopped, self.clock_set, self.clock_set,
        ]  # fmt: skip
        if restart is not None:
            self._restart = restart
            self._outages.append(self.database_restarted)

    def go_on(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.ask_for_runs()
            time.sleep(self.dice.random() * 0.5)  # the moment is the thing under test
            if self.dice.random() < 0.25:
                with self.dice.choice(self._outages)():
                    for _ in range(self.dice.randint(0, 2)):
                        self.one()
            else:
                self.one()
            self.keep_up()
        for program in self.scene.programs:
            program.go_on()
        for pid in self._stopped:
            send(pid, signal.SIGCONT)

    def keep_up(self) -> None:
        self.scene.keep_up()
        for pid, until_ in list(self._stopped.items()):
            if time.monotonic() >= until_:
                send(pid, signal.SIGCONT)
                del self._stopped[pid]

    def ask_for_runs(self) -> None:
        for _ in range(self.dice.randint(0, 3)):
            name = self.dice.choice(list(self.deployments))
            body = {"parameters": {"seconds": self.dice.choice([0, 0.2, 1.0])}, "idempotency_key": str(uuid4())}
            until(lambda id=self.deployments[name], body=body: self._asked(id, body), "the making of a run")
        if self.dice.random() < 0.2:
            self.scene.run_adhoc(self.dice.choice([0, 1.0]))

    def _asked(self, id: UUID, body: dict[str, Any]) -> Any:
        try:
            return self.scene.server.ask("POST", f"/deployments/{id}/create_flow_run", body)
        except (OSError, AssertionError) as exc:  # the database is just being started again
            assert isinstance(exc, OSError) or " 503 " in str(exc), exc
            return None

    # -- faults ------------------------------------------------------------------------------------------------------

    def one(self) -> None:
        self.happened[self.dice.choice(self._faults)()] += 1

    def _seconds(self) -> float:
        return _LEASE * 1.25 if self.longer and self.dice.random() < 0.3 else self.dice.random() * 3

    def _some_flow(self) -> int | None:
        found = self.scene.starting()
        return self.dice.choice(found) if found else None

    def kill_flow(self) -> str:
        pid = self._some_flow()
        return f"flow {self._hurt(pid, signal.SIGKILL)}"

    def end_flow(self) -> str:
        pid = self._some_flow()
        return f"flow {self._hurt(pid, signal.SIGTERM)}"

    def stop_flow(self) -> str:
        pid, seconds = self._some_flow(), self._seconds()
        if pid is not None:
            self._stopped[pid] = time.monotonic() + seconds
            if seconds > _LEASE:
                self.overslept.add(pid)
        return f"flow {self._hurt(pid, signal.SIGSTOP)}"

    def _hurt(self, pid: int | None, number: signal.Signals) -> str:
        if pid is None:
            return "nobody there"
        self.scene.killed.add(pid)
        send(pid, number)
        return number.name

    def kill_program(self) -> str:
        self.dice.choice(self.scene.programs).process.kill()
        return "program SIGKILL"

    def end_program(self) -> str:
        self.dice.choice(self.scene.programs).process.terminate()
        return "program SIGTERM"

    def stop_program(self) -> str:
        self.dice.choice(self.scene.programs).stop_for(self._seconds())
        return "program SIGSTOP"

    def kill_fork_server(self) -> str:
        for pid in self.scene.fork_servers()[:1]:
            send(pid, signal.SIGKILL)
        return "fork server SIGKILL"

    def kill_adhoc(self) -> str:
        running = [each for each in self.scene.adhoc if each.poll() is None]
        if not running:
            return "nobody there"
        process = self.dice.choice(running)
        self._hurt(process.pid, signal.SIGKILL)
        return "adhoc SIGKILL"

    # -- outages: something else may happen meanwhile ----------------------------------------------------------------

    @contextlib.contextmanager
    def server_killed(self) -> Iterator[None]:
        self.scene.server.kill()
        yield
        self.happened["server SIGKILL"] += 1
        self.scene.server.start()

    @contextlib.contextmanager
    def server_ended(self) -> Iterator[None]:
        self.scene.server.stop()
        yield
        self.happened["server SIGTERM"] += 1
        self.scene.server.start()

    @contextlib.contextmanager
    def server_stopped(self) -> Iterator[None]:
        assert self.scene.server.process is not None
        self.scene.server.process.send_signal(signal.SIGSTOP)
        yield
        time.sleep(self.dice.random() * 2)  # the length of the outage is the thing under test
        self.happened["server SIGSTOP"] += 1
        self.scene.server.process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def clock_set(self) -> Iterator[None]:
        """Forwards or back, the server's alone or everybody's, and right again."""
        seconds = self.dice.choice([8, 25, _LEASE * 1.5 if self.longer else _LEASE]) * self.dice.choice([1, -1])
        clocks = [self.scene.server_clock, self.scene.clock][: self.dice.randint(1, 2)]
        self._set(clocks, seconds)
        yield
        time.sleep(self.dice.random() * (8 if self.longer else 1))  # for how long it is wrong is the thing under test
        self._set(clocks, 0)
        self.happened[f"{'server' if len(clocks) == 1 else 'every'} clock {'ahead' if seconds > 0 else 'behind'}"] += 1

    @staticmethod
    def _set(clocks: list[Clock], seconds: float) -> None:
        for clock in clocks:
            clock.jump_to(timedelta(seconds=seconds))

    @contextlib.contextmanager
    def database_restarted(self) -> Iterator[None]:
        self._restart()
        yield
        self.happened["database restarted"] += 1


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


# -- what is left ----------------------------------------------------------------------------------------------------


def rows(scene: Scene, *columns: Any, where: Any = None, order: Any = None) -> list[Any]:
    statement = sa.select(*columns)
    if where is not None:
        statement = statement.where(where)
    if order is not None:
        statement = statement.order_by(*order)
    return list(scene.database.read(lambda tx: tx.execute(statement).all()))


def see_to_the_end(scene: Scene, moment: datetime, *, patient: bool) -> None:
    """Wait until all runs that were due by a moment have ended, as somebody would who has hours.

    Args:
        scene: what is left of it.
        moment: what is due later is none of our business.
        patient: wait for the ends of leases; else time is made to pass.
    """
    due = flow_run.c.expected_start_time.is_(None) | (flow_run.c.expected_start_time <= moment)
    unfinished = sa.and_(flow_run.c.state_type.not_in(TERMINAL), due)
    deadline, expire_at = time.monotonic() + _END_SECONDS, time.monotonic() + 3
    while True:
        left = rows(
            scene,
            flow_run.c.id,
            flow_run.c.name,
            flow_run.c.state_name,
            flow_run.c.expected_start_time,
            where=unfinished,
        )
        if not left and not any(each.poll() is None for each in scene.adhoc):
            scene.end_task_runs()
            return
        scene.keep_up()
        if not patient and time.monotonic() > expire_at:
            held = {str(row.id) for row in left} & {mark.run for mark in scene.marks() if is_running(mark.pid)}
            if not held:  # else it is at work
                scene.expire_leases()
                expire_at = time.monotonic() + 5  # what is claimed after this has to have time to begin
        assert time.monotonic() < deadline, "\n".join(story(scene, row.id) for row in left)
        time.sleep(0.2)  # between two looks, until the deadline


def story(scene: Scene, id: UUID) -> str:
    """What is known of a run that does not end."""
    states = flow_run_state.c.type, flow_run_state.c.message, flow_run_state.c.timestamp
    history = rows(scene, *states, where=flow_run_state.c.flow_run_id == id, order=(flow_run_state.c.timestamp,))
    run = rows(scene, flow_run, where=flow_run.c.id == id)
    lease = rows(scene, run_lease, where=run_lease.c.flow_run_id == id)
    marks = [mark for mark in scene.marks() if mark.run == str(id)]
    living = [mark.pid for mark in marks if is_running(mark.pid)]
    return f"{run}\n  states {history}\n  lease {lease}\n  marks {marks}\n  living {living}"


def _around(scene: Scene, limited: UUID, mark: Mark) -> str:
    """What is known of the limited runs that began within ten seconds of a moment."""
    near = {each.run for each in scene.marks() if each.what == "begin" and abs(each.at - mark.at) < 10}
    ids = [row.id for row in rows(scene, flow_run.c.id, where=flow_run.c.deployment_id == limited)]
    return f"{mark}\n" + "\n".join(story(scene, id) for id in ids if str(id) in near)


def check_runs(scene: Scene, chaos: Chaos) -> None:
    """What the flows themselves said against what the database says of them."""
    marks = scene.marks()
    begun, done = defaultdict(list), defaultdict(list)
    for mark in marks:
        {"begin": begun, "done": done}.get(mark.what, defaultdict(list))[mark.run].append(mark)
    for mark in marks:
        if mark.what == "twice":
            others = {other.pid for other in begun[mark.run] if other.at < mark.at}
            assert others & chaos.overslept, f"run {mark.run} ran twice at the same time: {begun[mark.run]}"
    for mark in marks:
        if mark.what == "over" and not chaos.overslept:
            pytest.fail("more runs than the limit allows\n" + _around(scene, chaos.deployments["limited"], mark))
    columns = flow_run.c.id, flow_run.c.state_type, flow_run.c.state_name, flow.c.name.label("flow")
    runs = scene.database.read(
        lambda tx: tx.execute(sa.select(*columns).join(flow, flow.c.id == flow_run.c.flow_id)).all()
    )
    for id, kind, name, of in runs:
        mine = begun[str(id)]
        if of in ("plain", "limited", "adhoc"):  # nobody tries these again
            assert len(mine) <= 1, f"run {id} of {of!r} was begun more than once: {mine}"
        if kind == "COMPLETED" and of != "child":
            assert done[str(id)], f"run {id} of {of!r} is said to have completed"
        if mine and done[str(id)] and not {mark.pid for mark in mine} & scene.killed:
            assert kind == "COMPLETED", f"run {id} of {of!r} came to its end, and is {name}"
    ids = {str(id) for id, *_ in runs}
    assert set(begun) <= ids, "runs that nobody recorded"


def check_histories(scene: Scene, moment: datetime) -> None:
    """States come in an order that has a meaning, and each ends what belongs to it."""
    columns = flow_run_state.c.flow_run_id, flow_run_state.c.type, flow_run_state.c.name
    states: dict[UUID, list[str]] = defaultdict(list)
    for id, kind, name in rows(scene, *columns, order=(flow_run_state.c.flow_run_id, flow_run_state.c.timestamp)):
        if kind in TERMINAL and states[id] and states[id][-1] in TERMINAL:
            assert (states[id][-1], kind) != (kind, kind), f"run {id} ended twice as {name}: {states[id]}"
        states[id].append(kind)
    for id, history in states.items():
        assert history.count("COMPLETED") <= 1, f"run {id}: {history}"
    unfinished = sa.and_(
        task_run.c.state_type.not_in(TERMINAL),
        task_run.c.flow_run_id.in_(sa.select(flow_run.c.id).where(flow_run.c.state_type.in_(TERMINAL))),
    )
    assert rows(scene, task_run.c.id, task_run.c.name, task_run.c.state_name, where=unfinished) == []
    leased = sa.and_(flow_run.c.id == run_lease.c.flow_run_id, flow_run.c.state_type == "COMPLETED")
    assert rows(scene, run_lease.c.flow_run_id, where=leased) == [], "leases of runs that have ended"


def check_records(scene: Scene) -> None:
    """Of a run that completed everything is there, once: its last attempt's, where it was tried again."""
    names = {row.id: row.name for row in rows(scene, flow.c.id, flow.c.name)}
    completed = rows(
        scene, flow_run.c.id, flow_run.c.flow_id, flow_run.c.run_count, where=flow_run.c.state_type == "COMPLETED"
    )
    tasks: dict[UUID, list[Any]] = defaultdict(list)
    for row in rows(scene, task_run.c.id, task_run.c.flow_run_id, task_run.c.state_type):
        tasks[row.flow_run_id].append(row)
    histories: dict[UUID, list[str]] = defaultdict(list)
    columns = task_run_state.c.task_run_id, task_run_state.c.name
    for id, name in rows(scene, *columns, order=(task_run_state.c.timestamp,)):
        histories[id].append(name)
    lines: dict[UUID, list[str]] = defaultdict(list)
    for id, message in rows(scene, log.c.flow_run_id, log.c.message, where=log.c.message.like("number %")):
        lines[id].append(message)
    for run in completed:
        if run.run_count > 1:
            continue
        child = names[run.flow_id] == "child"
        mine = tasks[run.id]
        assert Counter(row.state_type for row in mine) == {"COMPLETED": 1 if child else MAPPED}, f"tasks of {run.id}"
        for row in mine:
            assert Counter(histories[row.id]).most_common(1)[0][1] == 1, f"{row.id}: {histories[row.id]}"
        assert sorted(lines[run.id]) == [f"number {each}" for each in ([0] if child else range(1, MAPPED))], run.id


def check_schedule(scene: Scene, began: datetime, ended: datetime) -> None:
    """Every instant of the schedule once."""
    [served] = rows(scene, deployment.c.id, where=deployment.c.name == "served")
    found = rows(scene, flow_run.c.expected_start_time, where=flow_run.c.deployment_id == served.id)
    instants = sorted(each.expected_start_time for each in found)
    assert len(instants) == len(set(instants))
    inside = [each for each in instants if began <= each <= ended]
    assert inside
    gaps = [(a, b) for a, b in itertools.pairwise(inside) if b - a != timedelta(seconds=SCHEDULE)]
    assert gaps == []
    assert inside[-1] + timedelta(seconds=SCHEDULE) > ended


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_whatever_happens_every_run_ends_and_none_runs_twice(
    kind: str, tmp_path: Path, soak_seconds: float | None, request: pytest.FixtureRequest
) -> None:
    url, restart = None, None
    if kind == "postgresql":
        database: PostgreSQL = request.getfixturevalue("postgresql")
        url, restart = database.database("soak"), database.restart
    seed = 7 if soak_seconds is None else random.randrange(10**6)
    print(f"seed {seed}")
    scene = Scene(tmp_path, url, SCHEDULE)
    chaos = Chaos(scene, random.Random(seed), restart, longer=soak_seconds is not None)
    try:
        for name in ("plain", "stubborn"):
            chaos.deployments[name] = deploy(scene, name)
        chaos.deployments["limited"] = deploy(scene, "limited", concurrency_limit=SLOTS)
        until(lambda: scene.server.ask("POST", "/deployments/filter", {"deployments": {"name": {"any_": ["served"]}}}), "serving")  # fmt: skip
        until(lambda: any(mark.what == "done" for mark in scene.marks()), "the first run of the schedule")
        began = now()
        chaos.go_on(soak_seconds or SHORT)
        ended = now()
        see_to_the_end(scene, ended, patient=soak_seconds is not None)
        print(dict(chaos.happened), len(scene.marks()), "marks")
    finally:
        scene.stop()
    try:
        check_runs(scene, chaos)
        check_histories(scene, ended)
        check_records(scene)
        check_schedule(scene, began, ended)
    finally:
        scene.database.close()
