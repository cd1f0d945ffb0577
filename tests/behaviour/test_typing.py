"""A type checker sees the wrapped function's own parameters and result."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

HEAD = """
    from typing_extensions import assert_type
    from prefect import flow, task
    from prefect.states import State

    @task
    def plain(x: int, y: str = "a") -> float:
        return 1.0

    @task(retries=2)
    async def asynchronous(x: int) -> str:
        return "a"

    @flow
    def outer(n: int) -> list[int]:
        return [n]

    @flow(name="called", retries=1)
    async def outer_async(n: int) -> str:
        return await asynchronous(n)
"""

RESULTS = """
    assert_type(plain(1), float)
    assert_type(plain(1, return_state=True), State[float])
    assert_type(plain.submit(1).result(), float)
    assert_type(plain.map([1, 2]).result(), list[float])
    assert_type(asynchronous.submit(1).result(), str)
    assert_type(outer(1), list[int])
    assert_type(outer(1, return_state=True), State[list[int]])

    async def main() -> None:
        assert_type(await asynchronous(1), str)
        assert_type(await outer_async(1), str)
        assert_type(await outer_async(1, return_state=True), State[str])
"""

MISTAKES = """
    plain("a")  # error
    plain(1, z=3)  # error
    plain.submit("a")  # error
    outer("a")  # error
    outer()  # error
    outer(1)
    plain(1, wait_for=[1])
"""


@pytest.mark.parametrize("snippet", [HEAD + RESULTS, HEAD + MISTAKES], ids=["results", "mistakes"])
def test_exact_types(snippet: str, tmp_path: Path):
    checker = shutil.which("basedpyright", path=str(Path(sys.executable).parent)) or shutil.which("basedpyright")
    if checker is None:
        pytest.skip("no type checker is installed")
    path = tmp_path / "snippet.py"
    path.write_text(textwrap.dedent(snippet))
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    done = subprocess.run(
        [checker, "--pythonpath", sys.executable, str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    found = sorted({int(line) for line in re.findall(r"snippet\.py:(\d+):\d+ - error", done.stdout)})
    wanted = [n for n, line in enumerate(path.read_text().splitlines(), 1) if "# error" in line]
    assert found == wanted, done.stdout
