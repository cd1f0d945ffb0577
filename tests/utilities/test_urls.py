"""Addresses of objects, and addresses that are refused."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from prefect.settings import temporary_settings
from prefect.utilities.urls import convert_class_to_name, url_for, validate_restricted_url

ID = UUID(int=5)


@pytest.fixture
def api() -> Iterator[None]:
    with temporary_settings({"PREFECT_API_URL": "http://h:4200/api"}):
        yield


@pytest.mark.parametrize(
    ("kind", "ui", "api_path"),
    [
        ("flow-run", "runs/flow-run", "flow_runs"),
        ("task-run", "runs/task-run", "task_runs"),
        ("flow", "flows/flow", "flows"),
        ("deployment", "deployments/deployment", "deployments"),
        ("work-pool", "work-pools/work-pool", "work_pools"),
        ("block", "blocks/block", "blocks"),
        ("variable", None, "variables/name"),
        ("block-document", "blocks/block", None),
        ("nothing", None, None),
    ],
)
@pytest.mark.usefixtures("api")
def test_addresses_by_kind(kind: str, ui: str | None, api_path: str | None) -> None:
    assert url_for(kind, ID) == (f"http://h:4200/{ui}/{ID}" if ui else None)
    assert url_for(kind, ID, "api") == (f"http://h:4200/api/{api_path}/{ID}" if api_path else None)


@pytest.mark.usefixtures("api")
def test_addresses_of_objects() -> None:
    class FlowRun:
        id = ID

    class WorkPool:
        name = "pool"
        id = ID

    class ReceivedEvent:
        id = ID
        occurred = datetime(2024, 1, 2, tzinfo=UTC)

    assert url_for(FlowRun()) == f"http://h:4200/runs/flow-run/{ID}"
    assert url_for(WorkPool()) == "http://h:4200/work-pools/work-pool/pool"
    assert url_for(ReceivedEvent()) == f"http://h:4200/events/event/2024-01-02/{ID}"
    resource = SimpleNamespace(root={"prefect.resource.id": f"prefect.flow-run.{ID}"})
    assert url_for(resource) == f"http://h:4200/runs/flow-run/{ID}"
    assert url_for("worker", ID, work_pool_name="w") == f"http://h:4200/work-pools/work-pool/w/worker/{ID}"


@pytest.mark.usefixtures("api")
def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="following keys are missing: work_pool_name"):
        url_for("worker", ID)
    with pytest.raises(ValueError, match="must also provide an object ID"):
        url_for("flow-run")
    with pytest.raises(ValueError, match="'ui' or 'api'"):
        url_for("flow-run", ID, "other")  # type: ignore[arg-type]


def test_where_the_address_begins() -> None:
    assert url_for("flow-run", ID) is None
    assert url_for("flow-run", ID, default_base_url="http://d/") == f"http://d/runs/flow-run/{ID}"
    with temporary_settings({"PREFECT_API_URL": "http://h/api", "PREFECT_UI_URL": "http://ui/"}):
        assert url_for("flow-run", ID) == f"http://ui/runs/flow-run/{ID}"
    with temporary_settings({"PREFECT_API_URL": "https://api.prefect.cloud/api/accounts/a/workspaces/w"}):
        assert url_for("flow-run", ID) == f"https://app.prefect.cloud/account/a/workspace/w/runs/flow-run/{ID}"


def test_class_names() -> None:
    class HTTPServerRun:
        pass

    assert convert_class_to_name(HTTPServerRun()) == "http-server-run"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "Only HTTP"),
        ("ftp://x", "Only HTTP"),
        ("http://", "Only HTTP"),
        ("http://h:99999/", "Port out of range"),
        ("http://127.0.0.1/x", "private address 127.0.0.1"),
        ("http://localhost", "private address"),
        ("http://10.0.0.1", "private address"),
        ("http://169.254.169.254/latest", "private address"),
        ("http://0.0.0.0", "private address"),
        ("http://[::1]/", "private address ::1"),
        ("http://[::ffff:127.0.0.1]/", "private address"),
        ("http://[2002:7f00:1::]/", "private address"),
        ("http://224.0.0.1/", "private address"),
        ("http://2130706433/", "private address 127.0.0.1"),
    ],
)
def test_addresses_that_are_refused(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        validate_restricted_url(url)


def test_every_address_of_a_name_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*addresses: str) -> Any:
        return lambda *args, **kwargs: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0)) for one in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve("8.8.8.8"))
    validate_restricted_url("https://name.example/hook")
    monkeypatch.setattr(socket, "getaddrinfo", resolve("8.8.8.8", "192.168.0.1"))
    with pytest.raises(ValueError, match=r"private address 192\.168\.0\.1"):
        validate_restricted_url("https://name.example/hook")

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ValueError, match="could not be resolved"):
        validate_restricted_url("https://name.example/hook")
