"""What `docker buildx` is asked for, by a program of that name that writes down its arguments."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from prefect._internal.buildx import BuildError, buildx_build_image

SCRIPT = """#!/bin/sh
printf '%s\\n' "$@" > "$RECORD"
for argument in "$@"; do
  case "$argument" in --iidfile=*) echo sha256:abc > "${argument#--iidfile=}";; esac
done
echo building
exit ${STATUS:-0}
"""


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(SCRIPT)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("RECORD", str(tmp_path / "record"))
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path / "record"


def test_building(record: Path, tmp_path: Path) -> None:
    said = io.StringIO()
    image = buildx_build_image(
        tmp_path / "context", tag="a:1", extra_tags=["a:2"], pull=True, platform="linux/amd64,linux/arm64",
        stream_progress_to=said, push=True, build_args={"X": "1"}, no_cache=True, target="t", secret=None,
    )  # fmt: skip
    arguments = record.read_text().splitlines()
    assert image == "sha256:abc" and said.getvalue() == "building\n"
    assert arguments[:2] == ["buildx", "build"] and arguments[-2:] == ["--", str(tmp_path / "context")]
    wanted = {"--tag=a:1", "--tag=a:2", "--pull", "--platform=linux/amd64,linux/arm64", "--push", "--build-arg=X=1"}
    assert wanted | {"--no-cache", "--target=t"} <= set(arguments) and "--load" not in arguments


def test_a_build_that_fails(record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATUS", "3")
    with pytest.raises(BuildError, match="3"):
        buildx_build_image(tmp_path / "context")
    with pytest.raises(ValueError, match="no Dockerfile"):
        buildx_build_image(tmp_path / "context", dockerfile="Other")
