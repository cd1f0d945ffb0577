"""Flows in files, deployments of them, and runners and workers on threads of their own."""

from __future__ import annotations

import asyncio
import contextvars
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.flows import load_flow_from_entrypoint
from prefect.runner.runner import Runner
from served.conftest import speaking_to
from served.servers import Server
from waiting import until

T = TypeVar("T", bound=Callable[..., Any])

SECONDS = 40
"""How long things may take on a machine that has much else to do."""


@pytest.fixture(scope="session")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server")).start()
    yield server
    server.stop()


def places(*names: str) -> Callable[[T], T]:
    """Say where the runs of a test are recorded: "local", "served"; otherwise it is done with both."""

    def mark(function: T) -> T:
        function.places = names  # type: ignore[attr-defined]
        return function

    return mark


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "place" in metafunc.fixturenames:
        metafunc.parametrize("place", getattr(metafunc.function, "places", ("local", "served")), indirect=True)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where runs are recorded: in a local database of this test, or by a server."""
    if request.param == "local":
        request.getfixturevalue("home")
        yield "local"
    else:
        with speaking_to(request.getfixturevalue("one_server"), tmp_path / "home", monkeypatch):
            yield "served"


@pytest.fixture
def api(place: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder for flows."""
    folder = tmp_path / "code"
    folder.mkdir()
    return folder


class Deployments:
    """Makes deployments of flows in files, and runs of them."""

    def __init__(self, api: SyncPrefectClient, code: Path, label: str) -> None:
        self.api = api
        self.code = code
        self.label = label
        self.pool: str | None = None

    def deploy(self, source: str, flow: str = "f", file: str = "flows.py", **options: Any) -> UUID:
        (self.code / file).write_text(textwrap.dedent(source))
        flow_id = self.api.create_flow(load_flow_from_entrypoint(f"{self.code / file}:{flow}"))
        more: dict[str, Any] = {"path": str(self.code), "entrypoint": f"{file}:{flow}", "work_pool_name": self.pool}
        more["name"] = f"{self.label}-{flow}"
        return self.api.create_deployment(flow_id=flow_id, **{**more, **options})

    def run(self, deployment: UUID, state: Any = None, **parameters: Any) -> FlowRun:
        return self.api.create_flow_run_from_deployment(deployment, parameters=parameters, state=state)

    def until(self, run: FlowRun, met: Callable[[FlowRun], bool], seconds: float = SECONDS) -> FlowRun:
        deadline = time.monotonic() + seconds
        while True:
            found = self.api.read_flow_run(run.id)
            if met(found):
                return found
            if time.monotonic() > deadline:
                raise AssertionError(f"The run is still {found.state!r} after {seconds} s.")
            time.sleep(0.05)

    def ended(self, run: FlowRun, seconds: float = SECONDS) -> FlowRun:
        return self.until(run, lambda found: found.state is not None and found.state.is_final(), seconds)

    def running(self, run: FlowRun) -> FlowRun:
        return self.until(run, lambda found: found.state is not None and found.state.is_running())


@pytest.fixture
def deployments(api: SyncPrefectClient, code: Path, request: pytest.FixtureRequest) -> Deployments:
    return Deployments(api, code, request.node.name[:60].replace("[", "-").strip("]"))


def wait_for(met: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
    """Wait until something is so; returns it."""
    return until(met, seconds, what=what, pause=0.05)


class InThread:
    """Runs a coroutine on a thread of its own, with the settings of this one."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.error: BaseException | None = None
        context = contextvars.copy_context()

        def work() -> None:
            try:
                context.run(asyncio.run, make())
            except BaseException as exc:
                self.error = exc

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(SECONDS)
        assert not self._thread.is_alive(), "it does not end"
        if self.error is not None:
            raise self.error


@pytest.fixture
def serve(place: str) -> Iterator[Callable[..., Runner]]:
    """Start a runner for deployments; it is stopped at the end of the test."""
    started: list[tuple[Runner, InThread]] = []

    def start(*ids: UUID, **options: Any) -> Runner:
        runner = Runner(**{"name": "test", "pause_on_shutdown": False, **options})
        runner._deployments.update(dict.fromkeys(ids))  # type: ignore[arg-type]
        thread = InThread(runner.start)
        started.append((runner, thread))
        wait_for(lambda: runner.started or thread.error, "The runner starts")
        return runner

    yield start
    for runner, thread in started:
        if runner.started:
            runner.stop()
        thread.join()
