from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect.settings import context


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory and an empty home in it; no variable of ours in the environment."""
    for name in list(os.environ):
        if name.upper().startswith("PREFECT_"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("PREFECT_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    before = context._process.copy()
    context._process.clear()
    yield tmp_path
    context._process.clear()
    context._process.update(before)
