"""Clients of the local database."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from prefect import exceptions, flow, get_run_logger, task
from prefect._operations.__main__ import TARGET, render
from prefect._operations.registry import all_operations
from prefect._operations.routes import ROUTES
from prefect._transport.embedded import Dispatcher, EmbeddedTransport
from prefect._transport.errors import OperationUnavailable
from prefect._transport.port import Request
from prefect.client.base import ServerType
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import VariableCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.sorting import FlowRunSort
from prefect.client.utilities import client_injector, get_or_create_client, inject_client


@task
def double(x: int) -> int:
    return 2 * x


@flow
def doubling(n: int = 2) -> list[int]:
    get_run_logger().info("counting to %d", n)
    return [double(i) for i in range(n)]


def test_reads_what_runs_recorded(home: Path) -> None:
    state = doubling(n=2, return_state=True)
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    with get_client(sync_client=True) as client:
        assert client.server_type is ServerType.EPHEMERAL
        run = client.read_flow_run(run_id)
        assert run.state is not None
        assert run.state.is_completed()
        assert client.read_flow(run.flow_id) == client.read_flow_by_name("doubling")
        assert [one.id for one in client.read_flow_runs(sort=FlowRunSort.START_TIME_ASC, limit=5)] == [run_id]
        assert client.count_flow_runs() == 1
        assert [one.name for one in client.read_flow_run_states(run_id)] == ["Pending", "Running", "Completed"]
        tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=[run.name])))
        assert len(tasks) == 2
        assert client.read_task_run(tasks[0].id).state_name == "Completed"
        assert [one.name for one in client.read_task_run_states(tasks[0].id)][-1] == "Completed"
        lines = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])))
        assert "counting to 2" in [line.message for line in lines]
        client.delete_flow_run(run_id)
        assert client.read_flow_runs() == []


def test_a_run_reads_what_it_did_so_far(home: Path) -> None:
    @flow
    def looking() -> tuple[list[str | None], int]:
        double(1)
        with get_client(sync_client=True) as client:
            return [run.state_name for run in client.read_flow_runs()], len(client.read_task_runs())

    assert looking() == (["Running"], 1)


async def test_asynchronous_clients_read_too(home: Path) -> None:
    doubling()
    async with get_client() as client:
        runs, flows = await asyncio.gather(client.read_flow_runs(), client.read_flows())
        assert (len(runs), [one.name for one in flows]) == (1, ["doubling"])


def test_a_database_that_is_not_there_yet(home: Path) -> None:
    with get_client(sync_client=True) as client:
        assert client.read_flows() == []
        assert not (home / "pluperfect.db").exists(), "reading makes no file"
        doubling()
        assert len(client.read_flows()) == 1, "the file made meanwhile is found"


def test_what_is_not_there(home: Path) -> None:
    with get_client(sync_client=True) as client:
        with pytest.raises(exceptions.ObjectNotFound, match="not found") as raised:
            client.read_flow(uuid4())
        assert isinstance(raised.value, exceptions.PrefectHTTPStatusError)
        assert raised.value.response.status_code == 404
        with pytest.raises(exceptions.ObjectNotFound):
            client.delete_flow_run(uuid4())


def test_requests_that_do_not_fit(home: Path) -> None:
    with get_client(sync_client=True) as client:
        with pytest.raises(exceptions.PrefectHTTPStatusError, match=r"body\.limit") as raised:
            client.request("POST", "/flows/filter", json={"limit": -1})
        assert raised.value.response.status_code == 422
        with pytest.raises(exceptions.ObjectNotFound):  # as of a server: nothing is at such an address
            client.request("GET", "/flows/{id}", path_params={"id": "no-id"})
        with pytest.raises(exceptions.PrefectHTTPStatusError, match=r"query\.flow_run_id: Field required"):
            client.request("GET", "/flow_run_states/")
        assert client._transport.send(Request("POST", "/flows/filter", content=b"{nonsense")).status == 422
        with pytest.raises(exceptions.PrefectHTTPStatusError, match="body"):
            client.request("POST", "/flows/filter", json=[1])


def test_requests_in_the_words_of_httpx(home: Path) -> None:
    doubling()
    with get_client(sync_client=True) as client:
        response = client.request("POST", "/{what}/count", path_params={"what": "flows"}, content=b"{}", timeout=3)
        assert response.json() == 1


def test_an_operation_that_there_is_not(home: Path) -> None:
    with get_client(sync_client=True) as client, pytest.raises(OperationUnavailable, match="POST /no/such/thing"):
        client.request("POST", "/no/such/thing", json={})


def test_responses_are_as_those_of_a_server(home: Path) -> None:
    doubling()
    with get_client(sync_client=True) as client:
        response = client.request("POST", "/flows/filter", json={"limit": 1})
        assert response.status_code == 200
        assert response.json()[0]["name"] == "doubling"
        assert response.headers["content-type"] == "application/json"
        with client._client as http:
            assert http.post("/flows/filter", json={}).json() == response.json()
            assert http.get(f"/flow_run_states/?flow_run_id={client.read_flow_runs()[0].id}").json()
            with pytest.raises(exceptions.PrefectHTTPStatusError):
                http.get(f"/flows/{uuid4()}")


async def test_the_http_client_of_an_asynchronous_client(home: Path) -> None:
    doubling()
    async with get_client() as client, client._client as http:
        assert (await http.post("/flows/count", json={})).json() == 1


def test_what_is_spelt_out_wins() -> None:
    dispatcher = Dispatcher(ROUTES)
    found, path = dispatcher.find("GET", "/variables/name/a%2Fb/")
    assert (found.path, path) == ("/variables/name/{name}", {"name": "a/b"})
    assert dispatcher.find("POST", "/flows/filter")[0].path == "/flows/filter"
    assert dispatcher.find("GET", "/flows/1")[1] == {"id": "1"}
    with pytest.raises(OperationUnavailable):
        dispatcher.find("PUT", "/flows/filter")


def test_the_table_of_routes_is_current() -> None:
    assert TARGET.read_text() == render(), "run `python -m prefect._operations --write`"


def test_every_operation_is_found_by_its_own_path() -> None:
    operations = all_operations()
    dispatcher = Dispatcher(ROUTES)
    assert len(operations) > 10
    for operation in operations:
        sample = operation.path.replace("{", "0").replace("}", "")
        assert dispatcher.find(operation.method, sample)[0] is operation


def test_the_database_is_opened_again_after_it_was_closed(home: Path) -> None:
    doubling()
    transport = EmbeddedTransport()
    request = Request("POST", "/flows/count", content=b"{}")
    assert transport.send(request).content == b"1"
    transport.close()
    assert transport.send(request).content == b"1"
    transport.close()


async def test_functions_that_get_a_client(home: Path) -> None:
    doubling()

    @client_injector
    async def count(client, more: int) -> int:  # type: ignore[no-untyped-def]
        return await client.count_flow_runs() + more

    @inject_client
    async def which(client=None) -> object:  # type: ignore[no-untyped-def]
        await client.count_flow_runs()
        return client

    assert await count(1) == 2
    async with get_client() as around:
        assert get_or_create_client() == (around, True)
        assert await which() is around
        assert await which(client=around) is around
    new, known = get_or_create_client()
    assert not known
    assert get_or_create_client(new) == (new, True)


def test_runs_never_load_the_client(run_script) -> None:  # type: ignore[no-untyped-def]
    done = run_script(
        """
        import sys
        from prefect import flow

        @flow
        def hello():
            return 1

        hello()
        print([name for name in ("prefect.client.orchestration", "httpx", "pydantic") if name in sys.modules])
        """
    ).ok()
    assert done.stdout.strip() == "[]"


def test_the_local_database_needs_no_http(run_script) -> None:  # type: ignore[no-untyped-def]
    done = run_script(
        """
        import sys
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            client.read_flow_runs()
        print("httpx" in sys.modules)
        """
    ).ok()
    assert done.stdout.strip() == "False"


def test_ids_are_ids(home: Path) -> None:
    with get_client(sync_client=True) as client:
        with pytest.raises(ValueError, match="Invalid deployment ID: 'x'"):
            client.read_deployment("x")
        with pytest.raises(ValueError, match="lacks its flow"):
            client.read_deployment_by_name("alone")


async def test_many_at_once_write_and_read(home: Path) -> None:
    async with get_client() as client:

        async def keep(n: int) -> None:
            await client.create_variable(VariableCreate(name=f"v_{n}", value=n))
            found = await client.read_variable_by_name(f"v_{n}")
            assert found is not None
            assert found.value == n

        await asyncio.gather(*(keep(n) for n in range(40)))
        assert len(await client.read_variables()) == 40


def test_threads_share_a_client(home: Path) -> None:
    with get_client(sync_client=True) as client, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: client.create_variable(VariableCreate(name=f"v_{n}", value=n)), range(40)))
        assert sorted(one.value for one in client.read_variables()) == list(range(40))  # type: ignore[type-var]
