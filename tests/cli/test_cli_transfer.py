"""`prefect transfer`: from one API to another, repeated, with everything that refers to something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Cli, serving
from .test_cli_catalogue import BLOCKS

POOLS = ("work pools", "work queues")


@pytest.fixture(params=["local", "served"])
def two(request: pytest.FixtureRequest, clean_home: Path, local_cli: Cli):
    """Profiles `here` (with things in it) and `there`, which is another database or a server."""
    lines = ['active = "here"', "[profiles.here]", "[profiles.there]"]
    if request.param == "local":
        lines.append(f'PREFECT_SERVER_DATABASE_CONNECTION_URL = "sqlite:///{clean_home}/other.db"')
        (clean_home / "profiles.toml").write_text("\n".join(lines))
        _fill(local_cli, clean_home)
        yield local_cli
        return
    with serving(clean_home / "served") as url:
        (clean_home / "profiles.toml").write_text("\n".join([*lines, f'PREFECT_API_URL = "{url}"']))
        _fill(local_cli, clean_home)
        yield local_cli


def _fill(cli: Cli, folder: Path) -> None:
    file = folder / "more_blocks.py"
    file.write_text(BLOCKS + "\nclass Shop(Block):\n    warehouse: Warehouse\n    name: str = 'x'\n")
    cli.ok("block", "register", "--file", str(file))
    block = cli.json("block", "create", "warehouse", "--name", "main", "-f", "address=north", "-f", "key=s3cret")
    cli.ok("block", "create", "shop", "--name", "s", "-f", json.dumps(_reference(block["id"])).join(["warehouse=", ""]))
    cli.ok("variable", "set", "size", "500", "--tag", "a")
    cli.ok("concurrency-limit", "create", "db", "3")
    cli.ok("gcl", "create", "license", "-l", "2")
    _post(cli, "/work_pools/", {"name": "my pool", "type": "process", "concurrency_limit": 4})
    _post(cli, "/work_pools/my%20pool/queues", {"name": "fast", "priority": 1})
    flow = _post(cli, "/flows/", {"name": "etl", "tags": ["t"]})
    body = {
        "flow_id": flow["id"], "name": "nightly", "work_pool_name": "my pool", "work_queue_name": "fast",
        "parameters": {"day": "mon", "block": {"$ref": {"block_document_id": block["id"]}}}, "concurrency_limit": 5,
        "schedules": [{"schedule": {"cron": "0 9 * * *"}, "slug": "morning", "active": False}],
    }  # fmt: skip
    _post(cli, "/deployments/", body)


def _reference(id: str) -> dict[str, object]:
    return {"$ref": {"block_document_id": id}}


def _post(cli: Cli, route: str, body: object) -> dict[str, str]:
    return json.loads(cli.ok("api", "POST", route, "--data", json.dumps(body)))


def _there(cli: Cli, *argv: str) -> object:
    return cli.json("--profile", "there", *argv)


def test_everything_arrives_and_a_second_time_changes_nothing(two: Cli) -> None:
    transfer = ["transfer", "--from", "here", "--to", "there"]
    dry = two.json(*transfer, "--dry-run")
    assert {one["kind"]: one["copied"] for one in dry}["deployments"] == ["etl/nightly"]
    assert _there(two, "deployment", "ls") == []

    first = {one["kind"]: one for one in two.json(*transfer, "--pause")}
    assert not any(one["failed"] for one in first.values()), first
    assert first["blocks"]["copied"] == ["warehouse/main", "shop/s"]
    assert first["variables"]["copied"] == ["size"]
    second = {one["kind"]: one for one in two.json(*transfer)}
    assert not any(one["copied"] or one["failed"] for one in second.values()), second
    assert second["deployments"]["there"] == ["etl/nightly"]

    block: dict = _there(two, "block", "inspect", "warehouse/main")  # type: ignore[assignment]
    mine = two.json("block", "inspect", "warehouse/main")
    assert block["id"] != mine["id"] and block["data"]["address"] == "north"
    secret = json.loads(
        two.ok("--profile", "there", "api", "GET", f"/block_documents/{block['id']}?include_secrets=true")
    )
    assert secret["data"]["key"] == "s3cret"
    shop: dict = _there(two, "block", "inspect", "shop/s")  # type: ignore[assignment]
    assert shop["data"]["warehouse"]["address"] == "north"

    deployment: dict = _there(two, "deployment", "inspect", "etl/nightly")  # type: ignore[assignment]
    assert deployment["parameters"]["block"] == _reference(block["id"]), "ids are those of the target"
    assert (deployment["work_pool_name"], deployment["work_queue_name"]) == ("my pool", "fast")
    assert deployment["global_concurrency_limit"]["limit"] == 5
    assert deployment["paused"] is True
    assert [(one["slug"], one["active"]) for one in deployment["schedules"]] == [("morning", False)]
    assert _there(two, "variable", "inspect", "size")["tags"] == ["a"]  # type: ignore[index]


def test_only_one_kind_and_what_there_is_stays(two: Cli) -> None:
    two.ok("--profile", "there", "variable", "set", "size", "1")
    two.ok("variable", "set", "other", "2")
    said = two.ok("transfer", "--from", "here", "--to", "there", "--only", "variables", "--only", "work-pools")
    assert said.splitlines() == ["variables: 1 copied, 1 there already", "work pools: 1 copied"]
    assert two.ok("--profile", "there", "variable", "get", "size") == "1\n"
    assert _there(two, "deployment", "ls") == []


def test_what_cannot_be_copied_is_told_and_the_rest_goes_on(two: Cli) -> None:
    # the deployment's pool is taken away: the target will not have it
    argv = ["transfer", "--from", "here", "--to", "there"]
    for kind in ("flows", "deployments"):
        argv += ["--only", kind]
    status, out, err = two.run(*argv)
    assert (status, "1 object could not be copied" in err) == (1, True)
    assert "flows: 1 copied" in out and "deployments: 0 copied, 1 failed" in out and "my pool" in out
    assert two.run("transfer", "--from", "here", "--to", "there")[0] == 0, "it can be taken up again"


def test_profiles_that_make_no_sense(two: Cli) -> None:
    assert "nothing to copy" in two.fails("transfer", "--from", "here", "--to", "here")
    assert "no profile 'nope'" in two.fails("transfer", "--from", "nope", "--to", "here")
    assert "Kind 'pools'" in two.fails("transfer", "--from", "here", "--to", "there", "--only", "pools")


def test_the_environment_does_not_decide(two: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert "variables: 1 copied" in two.ok("transfer", "--from", "here", "--to", "there", "--only", "variables")
