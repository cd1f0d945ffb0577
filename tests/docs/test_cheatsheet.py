"""Run every snippet of the cheat-sheet verbatim, with no server and with one: what users paste must work.

The weather service is a local HTTP server; `httpx` is pointed at it (or stood in for, where it is not installed), so
that the snippet itself stays as it is. The block of the package `prefect-sqlalchemy` is stood in for by one over
`sqlite3`. Names that a snippet leaves to its reader are injected.
"""

import importlib.util
import json
import re
import runpy
import sqlite3
import sys
import threading
import types
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pydantic
import pytest

from prefect import flow, get_client, task
from prefect._engine import recorder
from prefect.automations import Automation
from prefect.blocks.core import Block
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.events import EventTrigger, RunDeployment
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.testing.utilities import prefect_test_harness
from served.servers import Server, until

SNIPPETS = dict(
    re.findall(
        r"^## ([^\n]+)\n\n```python\n(.*?)^```",
        Path(__file__).with_name("cheatsheet_snippets.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
)


@pytest.fixture(scope="module", autouse=True, params=["embedded", "served"])
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        if request.param == "embedded":
            yield
            return
        server = Server(tmp_path_factory.mktemp("server")).start()
        try:
            with temporary_settings({PREFECT_API_URL: server.url}) as settings:
                yield
                recorder.forget_recorder(recorder.served_key(settings))  # which has sent everything then
        finally:
            server.stop()


def run(title: str, tmp_path: Path, **names: Any) -> dict[str, Any]:
    """Run a snippet as the main program, with `names` defined, and give its globals."""
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPETS[title], encoding="utf-8")
    return runpy.run_path(str(path), init_globals=names, run_name="__main__")


class Weather(BaseHTTPRequestHandler):
    """Answers like the weather service: as many degrees as the name of the city has letters."""

    def do_GET(self) -> None:
        body = json.dumps({"current_condition": [{"temp_C": str(len(self.path.split("?")[0]) - 1)}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing on stderr."""


@pytest.fixture
def weather(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A local weather service to which `httpx.get("https://wttr.in/...")` goes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Weather)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"

    def local(url: str) -> str:
        return url.replace("https://wttr.in", base)

    if importlib.util.find_spec("httpx"):
        import httpx

        real = httpx.get
        monkeypatch.setattr(httpx, "get", lambda url, **options: real(local(url), trust_env=False, **options))
    else:
        monkeypatch.setitem(sys.modules, "httpx", httpx_stand_in(local))
    yield base
    server.shutdown()
    thread.join(10)
    server.server_close()


def httpx_stand_in(local: Any) -> types.ModuleType:
    """The few names of `httpx` that the snippet uses, over the standard library."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    class Response:
        def __init__(self, url: str) -> None:
            with opener.open(local(url), timeout=30) as answer:
                self.status, self.body = answer.status, answer.read()

        def raise_for_status(self) -> None:
            if self.status >= 400:
                raise urllib.error.URLError(f"status {self.status}")

        def json(self) -> Any:
            return json.loads(self.body)

    module = types.ModuleType("httpx")
    module.get = Response  # type: ignore[attr-defined]
    return module


def test_every_snippet_is_tested_here():
    assert sorted(SNIPPETS) == sorted(
        [
            "Quick start",
            "Concurrent task execution with error handling",
            "Database operations with blocks",
            "Event-driven workflows",
            "Task failures do not fail flows",
            "Pydantic models",
        ]
    )


def test_quick_start(weather: str, tmp_path: Path):
    names = run("Quick start", tmp_path)
    assert names["weather_flow"].name == "Weather Pipeline"
    assert names["weather_flow"](["Oslo"]) == [{"city": "Oslo", "temp": "4"}]
    assert names["fetch_weather"].retries == 2


def test_concurrent_processing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    names = run("Concurrent task execution with error handling", tmp_path)
    assert sorted(names["concurrent_processing"]()) == [i * 2 for i in range(10) if i != 5]
    assert "Task failed: Failed processing 5" in capsys.readouterr().out


class SqlAlchemyConnector(Block):
    """As much of the block of `prefect-sqlalchemy` as the snippet uses."""

    database: str

    def __enter__(self) -> Self:
        self._connection = sqlite3.connect(self.database)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.close()

    def fetch_all(self, query: str) -> list[Any]:
        return self._connection.execute(query).fetchall()


def test_database_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with closing(sqlite3.connect(tmp_path / "source.db")) as database:
        database.execute("CREATE TABLE orders (id, created_at)")
        database.execute("INSERT INTO orders VALUES (1, '2023-12-31'), (2, '2024-05-01')")
        database.commit()
    SqlAlchemyConnector(database=str(tmp_path / "source.db")).save("source-db", overwrite=True)
    package = types.ModuleType("prefect_sqlalchemy")
    package.SqlAlchemyConnector = SqlAlchemyConnector  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "prefect_sqlalchemy", package)
    loaded: dict[str, Any] = {}
    names = run(
        "Database operations with blocks",
        tmp_path,
        transform_data=lambda rows: [(number * 10, day) for number, day in rows],
        load_data=loaded.__setitem__,
    )
    assert names["etl_pipeline"](return_state=True).is_completed()
    assert loaded == {"dest-db": [(20, "2024-05-01")]}


@pytest.mark.parametrize("usage", [0.5, 0.95])
def test_event_driven(usage: float, tmp_path: Path):
    names = run("Event-driven workflows", tmp_path, get_cpu_usage=lambda: usage)
    assert names["monitoring_flow"](return_state=True).is_completed()


@pytest.mark.parametrize("harness", ["served"], indirect=True)
def test_the_automation_that_the_snippet_speaks_of(tmp_path: Path, harness: None):
    """When: event "high-cpu-usage" occurs. Then: run scale_resources flow with parameters."""
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name("scale_resources")
        deployment = client.create_deployment(
            flow_id,
            "scale",
            parameter_openapi_schema={"type": "object", "properties": {"factor": {"type": "integer"}}},
        )
    Automation(
        name="scale",
        trigger=EventTrigger(expect={"high-cpu-usage"}, match={"prefect.resource.id": "system-monitor"}),
        actions=[RunDeployment(deployment_id=deployment, parameters={"factor": 2})],
    ).create()
    run("Event-driven workflows", tmp_path, get_cpu_usage=lambda: 0.95)["monitoring_flow"]()
    wanted = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]))
    with get_client(sync_client=True) as client:
        runs = until(lambda: client.read_flow_runs(flow_run_filter=wanted), "a run of the deployment")
    assert [one.parameters for one in runs] == [{"factor": 2}]


def test_task_failures_do_not_fail_flows(tmp_path: Path):
    @task
    def good():
        return 1

    @task
    def bad():
        raise RuntimeError("bad task")

    assert run("Task failures do not fail flows", tmp_path, flow=flow, my_task=good)["my_flow"]() == 1
    with pytest.raises((RuntimeError, ValueError), match=r"bad task|Critical task failed"):
        run("Task failures do not fail flows", tmp_path, flow=flow, my_task=bad)["my_flow"]()


def test_models_forbid_extra_fields(tmp_path: Path):
    with pytest.warns(DeprecationWarning):
        model = run("Pydantic models", tmp_path, BaseModel=pydantic.BaseModel, ConfigDict=pydantic.ConfigDict)[
            "MyModel"
        ]
    with pytest.raises(pydantic.ValidationError, match="Extra inputs are not permitted"):
        model(unknown=1)

    @flow
    def takes(model: model):  # type: ignore[valid-type]
        return model

    assert takes({}) == model()
