"""A project folder with flows in it, as the working directory, and a home of its own."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate

FLOWS = '''
from prefect import flow


@flow(version="v7")
def add(x: int, y: int = 1) -> int:
    """Adds.

    Args:
        x: the first.
    """
    return x + y


@flow
async def wait_a_bit(label: str = "a"):
    return label


class Jobs:
    @staticmethod
    @flow(name="of-a-class")
    def job():
        pass


renamed = add.with_options(name="renamed")
'''


class Project:
    """A folder with a file of flows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("flows.py", FLOWS)

    def write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    def load(self, entrypoint: str = "flows.py:add"):
        from prefect.flows import load_flow_from_entrypoint

        return load_flow_from_entrypoint(entrypoint)


@pytest.fixture
def project(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    known = set(sys.modules)
    yield Project(folder)
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def client(home: Path) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def pool(client: SyncPrefectClient) -> str:
    client.create_work_pool(WorkPoolCreate(name="pool", type="process"))
    return "pool"


@pytest.fixture
def image_pool(client: SyncPrefectClient) -> str:
    template = {
        "job_configuration": {"image": "{{ image }}"},
        "variables": {"type": "object", "properties": {"image": {"type": "string"}}},
    }
    client.create_work_pool(WorkPoolCreate(name="images", type="docker", base_job_template=template))
    return "images"
