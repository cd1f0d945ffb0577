"""What a program has imported after it has done something: the promise behind "it feels instant"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

HEAVY = [
    "pydantic",
    "sqlalchemy",
    "asyncio",
    "rich",
    "jinja2",
    "yaml",
    "httpx",
    "cyclopts",
    "cloudpickle",
    "alembic",
    "anyio",
]
_TAIL = """
import sys
print("LOADED", *(name for name in {names} if name in sys.modules))
"""


@pytest.fixture
def loaded(run_script: Callable[..., Any]) -> Callable[..., set[str]]:
    def run(source: str, names: list[str] = HEAVY) -> set[str]:
        out = run_script(source + _TAIL.format(names=names)).ok().stdout
        return set(out.partition("LOADED")[2].split())

    return run


PROGRAMS = {
    "import": "import prefect",
    "from import": "from prefect import flow, task, get_run_logger, unmapped, allow_failure, tags",
    "a flow": """
from prefect import flow
@flow
def hello(): pass
hello()
""",
    "a flow with parameters and tasks": """
from prefect import flow, task
@task
def greet(name): return name
@flow(retries=1)
def hello(name: str, times: int = 2, tags: list[str] = ()): return [greet(name) for _ in range(times)]
assert hello("x", tags=["a"]) == ["x", "x"]
""",
    "futures": """
from prefect import flow, task
@task(retries=2)
def greet(name): return name
@flow
def hello(): return greet.submit("x").result(), sum(greet.map([1, 2, 3]).result())
assert hello() == ("x", 6)
""",
    "a sub-flow": """
from prefect import flow
@flow
def inner(x: int): return x
@flow
def outer(): return inner(1)
outer()
""",
    "a log": """
from prefect import flow, get_run_logger
@flow(log_prints=True)
def hello():
    get_run_logger().info("%s", 1)
    print("x")
hello()
""",
}


@pytest.mark.parametrize("program", PROGRAMS, ids=list(PROGRAMS))
def test_simple_programs_load_nothing_heavy(program: str, loaded: Callable[..., set[str]]):
    assert loaded(PROGRAMS[program]) == set()


def test_an_asynchronous_flow_loads_asyncio_and_nothing_else(loaded: Callable[..., set[str]]):
    source = """
import asyncio
from prefect import flow, task
@task
async def greet(name): return name
@flow
async def hello(): return await asyncio.gather(*(greet(n) for n in range(3)))
assert asyncio.run(hello()) == [0, 1, 2]
"""
    assert loaded(source) == {"asyncio"}


@pytest.mark.parametrize("name", ["Completed", "State"])
def test_pydantic_is_there_when_it_is_needed(name: str, loaded: Callable[..., set[str]]):
    assert "pydantic" in loaded(f"from prefect.states import {name}\n{name}.__call__")


def test_the_package_offers_what_it_says():
    import prefect

    for name in prefect.__all__:
        assert getattr(prefect, name) is not None
    assert set(prefect.__all__) <= set(dir(prefect))


def test_every_module_can_be_reached_from_the_package(run_script: Callable[..., Any]):
    """As in `import prefect`, then `prefect.cache_policies.INPUTS`: no import says so."""
    run_script("""
import pkgutil, sys
import prefect
names = [module.name for module in pkgutil.iter_modules(prefect.__path__) if not module.name.startswith("_")]
assert {"blocks", "cache_policies", "client", "states", "task_runners"} <= set(names), names
for name in names:
    module = getattr(prefect, name)
    assert module is sys.modules[f"prefect.{name}"], name
""").ok()


def test_a_module_that_is_not_there_is_an_attribute_that_is_not_there(run_script: Callable[..., Any]):
    run_script("""
import prefect
assert not hasattr(prefect, "nothing_of_the_kind") and not hasattr(prefect, "_nothing")
try:
    from prefect import nothing_of_the_kind
except ImportError as error:
    assert "cannot import name 'nothing_of_the_kind'" in str(error), error
else:
    raise AssertionError
""").ok()


def test_looking_for_the_version_loads_nothing(run_script: Callable[..., Any]):
    source = """
import sys
before = set(sys.modules)
import prefect
prefect.__version__
print(*sorted(name for name in set(sys.modules) - before if name.startswith("prefect")))
"""
    assert set(run_script(source).ok().stdout.split()) <= {"prefect", "prefect._lazy"}
