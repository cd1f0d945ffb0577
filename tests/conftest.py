"""What every test relies on: a home of its own, an environment without our variables, scripts in their own process.

The home is set when this file is read, before anything imports `prefect`, whose settings are read once: no test ever
touches `~/.prefect`, and tests that run side by side in several processes share nothing.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest


def _isolate() -> Path:
    """Give this process a home of its own, removed when the process ends."""
    for name in list(os.environ):
        if name.upper().startswith("PREFECT_"):
            del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="pluperfect-tests-"))
    os.environ["PREFECT_HOME"] = str(home)
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a forked child must not take its parent's home away
            shutil.rmtree(home, ignore_errors=True)

    # registered before the package registers its own, so it runs after them: they still write to this home
    atexit.register(remove)
    return home


PROCESS_HOME = _isolate()

# The gate tries the same examples each time, so that it tells of a change and not of luck; developers try new ones.
hypothesis.settings.register_profile("gate", derandomize=True, deadline=None)
hypothesis.settings.register_profile("developer", deadline=None)
hypothesis.settings.load_profile("gate" if os.environ.get("CI") else "developer")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the load and fault tests at full length")
    parser.addoption(
        "--soak-seconds", type=float, help="for how long those go on that go on for a time; implies --soak"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the published Prefect 3.8 where there is none."""
    if os.environ.get("PLUPERFECT_PEER"):
        return
    missing = pytest.mark.skip(reason="PLUPERFECT_PEER names no interpreter that has Prefect 3.8")
    for item in items:
        if item.get_closest_marker("peer"):
            item.add_marker(missing)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape half surrogate pairs in what a test printed: reports go to another process, which takes only real text."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether load and fault tests run at full length."""
    return bool(request.config.getoption("--soak") or request.config.getoption("--soak-seconds"))


@pytest.fixture(scope="session")
def soak_seconds(request: pytest.FixtureRequest, soak: bool) -> float | None:
    """How long a fault test goes on at full length; None for the short form."""
    return (request.config.getoption("--soak-seconds") or 180.0) if soak else None


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty `PREFECT_HOME` for this test alone, in force in this process and in those it starts."""
    # imported here so that tests that need no home also import nothing
    from prefect._engine import recorder
    from prefect.settings import PREFECT_HOME, temporary_settings

    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("PREFECT_HOME", str(path))
    with temporary_settings({PREFECT_HOME: path}) as settings:
        database = recorder.database_path(settings)
        try:
            yield path
        finally:
            recorder.forget_recorder(database)


@dataclass(frozen=True)
class Finished:
    """A script that has run.

    Attributes:
        stdout: what it printed.
        stderr: what it printed on the error stream, logs among it.
        code: its exit code; negative when a signal ended it.
        home: the `PREFECT_HOME` it ran with.
    """

    stdout: str
    stderr: str
    code: int
    home: Path

    def ok(self) -> Finished:
        """This script, if it ended well.

        Raises:
            AssertionError: it did not; the message has its output.
        """
        assert self.code == 0, f"the script ended with code {self.code}\n{self.stdout}\n{self.stderr}"
        return self


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[..., Finished]:
    """Run Python source in a process and a home of its own: `run_script(source, **env)`.

    Scripts of one test share one home, so that one can look at what another left. An environment variable given as
    None is removed.
    """
    folder = tmp_path / "scripts"
    folder.mkdir()
    fresh_home = tmp_path / "script-home"

    def run(source: str, *arguments: str, timeout: float = 60, **env: str | None) -> Finished:
        script = folder / f"script_{len(list(folder.iterdir()))}.py"
        script.write_text(textwrap.dedent(source), encoding="utf-8")
        variables = {name: value for name, value in os.environ.items() if not name.upper().startswith("PREFECT_")}
        variables |= {"PREFECT_HOME": str(fresh_home), "PYTHONUTF8": "1"}
        for name, value in env.items():
            if value is None:
                variables.pop(name, None)
            else:
                variables[name] = value
        done = subprocess.run(
            [sys.executable, str(script), *arguments],
            capture_output=True, text=True, encoding="utf-8", cwd=folder, env=variables, timeout=timeout, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return Finished(done.stdout, done.stderr, done.returncode, Path(variables["PREFECT_HOME"]))

    return run
