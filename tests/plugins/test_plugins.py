"""Installed packages that extend this one: real ones, made for the test."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from prefect import plugins
from prefect.plugins import HookContext, SetupResult, SetupSummary, register_hook, run_startup_hooks
from prefect.server.database import make_database
from prefect.settings import (
    PREFECT_PLUGINS_DENY,
    PREFECT_PLUGINS_ENABLED,
    PREFECT_PLUGINS_SAFE_MODE,
    PREFECT_PLUGINS_SETUP_TIMEOUT_SECONDS,
    PREFECT_PLUGINS_STRICT,
    temporary_settings,
)
from store.conftest import PostgreSQL
from store.conftest import postgresql as postgresql

CONTEXT = HookContext("3.8.4", None, logging.getLogger)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Make an installed package with one module and one entry point: `install(name, group, source)`."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, group: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {name}\n")
        monkeypatch.delitem(sys.modules, name, raising=False)

    return make


SETS = """
    from prefect.plugins import SetupResult, register_hook

    @register_hook
    def setup_environment(*, ctx):
        return SetupResult(env={"FROM_PLUGIN": ctx.prefect_version, "MY_TOKEN": "s3cret"}, note="done")
"""


async def test_hooks_set_up_the_environment(install: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("FROM_PLUGIN", "MY_TOKEN"):
        monkeypatch.setenv(variable, "before")
    install("sets_up", "prefect.plugins", SETS)
    assert await run_startup_hooks(CONTEXT) == []  # they are off unless switched on
    with temporary_settings({PREFECT_PLUGINS_ENABLED: True}):
        (summary,) = await run_startup_hooks(CONTEXT)
    assert os.environ["FROM_PLUGIN"] == "3.8.4" and os.environ["MY_TOKEN"] == "s3cret"
    assert summary == SetupSummary("sets_up", {"FROM_PLUGIN": "3.8.4", "MY_TOKEN": "••••••"}, "done")


async def test_hooks_that_do_not_run(install: Any) -> None:
    install("sets_up", "prefect.plugins", SETS)
    with temporary_settings({PREFECT_PLUGINS_ENABLED: True, PREFECT_PLUGINS_DENY: "sets_up"}):
        assert await run_startup_hooks(CONTEXT) == []
    with temporary_settings({PREFECT_PLUGINS_ENABLED: True, PREFECT_PLUGINS_SAFE_MODE: True}):
        assert await run_startup_hooks(CONTEXT) == []


async def test_hooks_that_fail(install: Any) -> None:
    install("fails", "prefect.plugins", "async def setup_environment(*, ctx): raise ValueError('no')")
    with temporary_settings({PREFECT_PLUGINS_ENABLED: True}):
        (summary,) = await run_startup_hooks(CONTEXT)
        assert summary.error == "no"
        with temporary_settings({PREFECT_PLUGINS_STRICT: True}), pytest.raises(SystemExit, match="fails"):
            await run_startup_hooks(CONTEXT)


async def test_hooks_that_take_too_long(install: Any) -> None:
    install("slow", "prefect.plugins", "import asyncio\nasync def setup_environment(*, ctx): await asyncio.sleep(60)")
    with temporary_settings({PREFECT_PLUGINS_ENABLED: True, PREFECT_PLUGINS_SETUP_TIMEOUT_SECONDS: 0.05}):
        (summary,) = await run_startup_hooks(CONTEXT)
    assert "longer than" in (summary.error or "")


def test_a_block_of_an_installed_package_is_found(tmp_path: Path, install: Any, run_script: Any) -> None:
    install(
        "brings_blocks",
        "prefect.collections",
        """
        from prefect.blocks.core import Block
        class FromAPackage(Block):
            x: int = 1
        """,
    )
    install("broken", "prefect.collections", "raise RuntimeError('not today')")
    source = """
        from prefect.blocks.core import Block
        assert Block.get_block_class_from_key("fromapackage").__name__ == "FromAPackage"
        from prefect.plugins import load_prefect_collections
        assert isinstance(load_prefect_collections()["broken"], RuntimeError)
    """
    finished = run_script(source, PYTHONPATH=str(tmp_path)).ok()
    assert "not today" in finished.stderr


def test_names() -> None:
    assert plugins.PREFECT_PLUGIN_API_VERSION and plugins.HookSpec().set_database_connection_params("x", None) == {}

    @register_hook(specname="other", tryfirst=True)
    def mine() -> SetupResult:
        return SetupResult(env={})

    assert mine().required is False


def test_a_command_runs_in_the_environment_that_plugins_prepared(
    install: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real command: what a plugin sets is in force when the command reads its settings."""
    install(
        "says_where",
        "prefect.plugins",
        """
        from prefect.plugins import SetupResult

        def setup_environment(*, ctx):
            return SetupResult(env={"PREFECT_API_URL": "http://127.0.0.1:9/api"})
        """,
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PREFECT_PLUGINS_ENABLED": "1"}
    command = [sys.executable, "-m", "prefect", "server", "status"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert "http://127.0.0.1:9/api" in done.stderr
    environment["PREFECT_PLUGINS_ENABLED"] = "0"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert "http://127.0.0.1:9/api" not in done.stderr


def test_plugins_add_to_the_connections_of_the_server(install: Any, postgresql: PostgreSQL) -> None:
    install(
        "names_itself",
        "prefect.plugins",
        """
        def set_database_connection_params(connection_url, settings):
            return {"application_name": "named-by-a-plugin"}
        """,
    )
    with temporary_settings({PREFECT_PLUGINS_ENABLED: True}):
        database = make_database(postgresql.database("plugins"))
        try:
            name = database.read(lambda tx: tx.execute(sa.text("SHOW application_name")).scalar_one())
        finally:
            database.close()
    assert name == "named-by-a-plugin"
