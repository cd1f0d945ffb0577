"""Importing a door costs nothing; using a name loads what that name needs."""

import subprocess
import sys
from importlib import import_module

import pytest

DOORS = [
    "prefect.client.schemas",
    *(
        f"prefect.client.schemas.{name}"
        for name in ("objects", "actions", "filters", "responses", "schedules", "sorting", "worker_channel")
    ),
    "prefect.types",
    "prefect.types.names",
    "prefect.types.entrypoint",
    "prefect.schedules",
    "prefect.utilities.names",
]


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    )


def test_doors_load_no_heavy_module():
    loaded = loaded_after("\n".join(f"import {door}" for door in DOORS))
    assert not loaded & {"pydantic", "sqlalchemy", "asyncio", "rich", "dateutil", "orjson"}


def test_a_name_loads_its_own_noun_only():
    loaded = loaded_after("from prefect.client.schemas.objects import Variable")
    assert "prefect._schemas.variables" in loaded
    assert not loaded & {"prefect._schemas.deployments", "prefect._schemas.flow_runs", "prefect._schemas.blocks"}


@pytest.mark.parametrize("door", DOORS)
def test_every_name_of_a_door_can_be_had(door):
    module = import_module(door)
    for name in getattr(module, "__all__", []):
        assert getattr(module, name, None) is not None
        assert name in dir(module)
    with pytest.raises(AttributeError, match="no_such_name"):
        module.no_such_name  # noqa: B018


def test_the_same_class_behind_every_door():
    from prefect.client import schemas
    from prefect.client.schemas import actions, objects, responses

    assert schemas.FlowRun is objects.FlowRun
    assert schemas.StateCreate is actions.StateCreate
    assert schemas.OrchestrationResult is responses.OrchestrationResult
