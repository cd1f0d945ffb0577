"""The same methods on every API there is: the local database, our own server, and the peer's.

The peer's server is started from the executable that the variable PLUPERFECT_PEER names; without it those tests are
skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from conformance.published import COMMAND
from prefect.client.orchestration import PrefectClient, SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from prefect.states import Running

from .calls import CALLS, clean

DEADLINE_SECONDS = 60
PEER_DEADLINE_SECONDS = 240
"""The peer takes long to start on a busy machine."""

pytestmark = pytest.mark.timeout(300)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def _running(command: list[str], home: Path, seconds: float = DEADLINE_SECONDS) -> Iterator[str]:
    """The address of a server that was started with a command, and ends with the block."""
    port = _free_port()
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    variables |= {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    log = home / "server-log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*command, "server", "start", "--port", str(port)], env=variables, stdout=stream, stderr=stream, cwd=home
        )
    url = f"http://127.0.0.1:{port}/api"
    try:
        _wait_until_healthy(url, process, log, seconds)
        yield url
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)  # between two looks; the wait ends as soon as the server answers
    pytest.fail(f"the server did not start:\n{log.read_text()}")


@pytest.fixture(scope="module")
def peer_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with _running([*COMMAND], tmp_path_factory.mktemp("peer"), PEER_DEADLINE_SECONDS) as url:
        yield url


@pytest.fixture(scope="module")
def served_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with _running([sys.executable, "-m", "prefect"], tmp_path_factory.mktemp("served")) as url:
        yield url


@pytest.fixture(params=["embedded", "served", pytest.param("peer", marks=pytest.mark.peer)])
def client(request: pytest.FixtureRequest) -> Iterator[SyncPrefectClient]:
    if request.param == "embedded":
        request.getfixturevalue("home")
        made = get_client(sync_client=True)
    else:
        made = SyncPrefectClient(request.getfixturevalue(f"{request.param}_url"))
    with made as entered:
        yield entered


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_methods(call: Callable[[SyncPrefectClient], None], client: SyncPrefectClient) -> None:
    call(client)


async def test_asynchronous_clients(client: SyncPrefectClient) -> None:
    # the methods are the same source: one way through each kind of call is enough
    made = PrefectClient(client._session.api)
    async with made as asynchronous:
        flow_id = await asynchronous.create_flow(clean)
        assert (await asynchronous.read_flow(flow_id)).name == "clean"
        run = await asynchronous.create_flow_run(clean, tags=["async"])
        assert (await asynchronous.set_flow_run_state(run.id, Running())).status.value == "ACCEPT"
        found = await asyncio.gather(*(asynchronous.read_flow_run(run.id) for _ in range(20)))
        assert {one.state_name for one in found} == {"Running"}
        with pytest.raises(ObjectNotFound):
            await asynchronous.read_flow(uuid4())
        assert (await asynchronous.request("GET", "/flows/{id}", path_params={"id": flow_id})).json()["name"] == "clean"
