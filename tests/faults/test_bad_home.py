"""A home or a database that cannot be used: the flow runs, and one message says what is wrong with which file."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .conftest import NAME

pytestmark = pytest.mark.faults

FLOW = """
from prefect import flow, task

@task
def double(x):
    return 2 * x

@flow
def main():
    return sum(double.map([1, 2, 3]).result())

print("value", main())
"""


def told_once(done: Any, path: Path) -> None:
    assert done.stdout == "value 12\n"
    lines = [line for line in done.stderr.splitlines() if "cannot be used" in line]
    assert len(lines) == 1, done.stderr
    assert str(path) in lines[0]
    assert "PREFECT_HOME" in lines[0]
    assert "Traceback" not in done.stderr
    assert "could not be written" in done.stderr, "at the end it says that something is missing"


def test_the_home_is_a_file(run_script: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("not a folder")
    told_once(run_script(FLOW, PREFECT_HOME=str(home)).ok(), home / NAME)
    assert home.read_text() == "not a folder"


def test_the_database_is_a_folder(run_script: Any, tmp_path: Path) -> None:
    (tmp_path / "home" / NAME).mkdir(parents=True)
    told_once(run_script(FLOW, PREFECT_HOME=str(tmp_path / "home")).ok(), tmp_path / "home" / NAME)


def test_the_database_is_something_else(run_script: Any, tmp_path: Path) -> None:
    path = tmp_path / "home" / NAME
    path.parent.mkdir()
    content = os.urandom(20_000)
    path.write_bytes(content)
    done = run_script(FLOW, PREFECT_HOME=str(path.parent)).ok()
    told_once(done, path)
    assert path.read_bytes() == content, "a file that is not ours is left alone"


def test_the_database_of_another_program(run_script: Any, tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "home" / NAME
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE shopping (item TEXT)")
    connection.commit()
    connection.close()
    done = run_script(FLOW, PREFECT_HOME=str(path.parent))
    assert str(path) in done.stderr
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("shopping",)]
    connection.close()


def test_a_damaged_database(run_script: Any, tmp_path: Path) -> None:
    path = tmp_path / "home" / NAME
    run_script(FLOW, PREFECT_HOME=str(path.parent)).ok()
    content = bytearray(path.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 200] = os.urandom(200)
    path.write_bytes(content)
    done = run_script(FLOW, PREFECT_HOME=str(path.parent))
    assert done.stdout == "value 12\n", done.stderr
    assert str(path) in done.stderr


def test_a_home_that_is_read_only(run_script: Any, tmp_path: Path) -> None:
    """Root may write everywhere: there a read-only mount stands for the folder that cannot be written."""
    home = tmp_path / "home"
    home.mkdir()
    if os.geteuid() != 0:
        home.chmod(0o500)
        told_once(run_script(FLOW, PREFECT_HOME=str(home)).ok(), home / NAME)
        home.chmod(0o700)
        return
    if not _mounted("-o", "ro,size=1m", home):
        pytest.skip("cannot mount a file system here")
    try:
        told_once(run_script(FLOW, PREFECT_HOME=str(home)).ok(), home / NAME)
    finally:
        subprocess.run(["umount", str(home)], check=False)


def test_a_disk_that_fills_up(run_script: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    if os.geteuid() != 0 or not _mounted("-o", "size=1m", home):
        pytest.skip("cannot mount a file system here")
    try:
        many = FLOW.replace("print(", "for _ in range(400): main()\nprint(")
        done = run_script(many, PREFECT_HOME=str(home)).ok()
        told_once(done, home / NAME)
        assert "full" in done.stderr
    finally:
        subprocess.run(["umount", str(home)], check=False)


@pytest.mark.skipif(os.name == "nt", reason="POSIX limits")
def test_a_database_that_may_not_grow(run_script: Any, tmp_path: Path) -> None:
    limited = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))\n"
    home = tmp_path / "home"
    many = limited + FLOW.replace("print(", "for _ in range(400): main()\nprint(")
    told_once(run_script(many, PREFECT_HOME=str(home)).ok(), home / NAME)
    with contextlib.closing(sqlite3.connect(home / NAME)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM flow_run").fetchone()[0] > 0


def _mounted(option: str, value: str, folder: Path) -> bool:
    if shutil.which("mount") is None:
        return False
    return (
        subprocess.run(["mount", "-t", "tmpfs", option, value, "none", str(folder)], capture_output=True).returncode
        == 0
    )
