from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from prefect import _entrypoints as entrypoints
from prefect._entrypoints import (
    is_entrypoint_async,
    load_flow_arguments_from_entrypoint,
    load_flow_from_entrypoint,
    load_function_and_convert_to_flow,
    load_placeholder_flow,
    parameter_schema_from_entrypoint,
    safe_load_flow_from_entrypoint,
    select_flow,
)
from prefect.exceptions import MissingFlowError, ScriptError, UnspecifiedFlowError
from prefect.flows import Flow, flow

FILES = {
    "one_flow.py": """
from prefect import flow
import beside

@flow(name="My One", description="d", version=beside.VERSION, retries=2 + 1)
def one(x: int = 3):
    "says"
    return x
""",
    "beside.py": "VERSION = 'v1'\n",
    "many_flows.py": """
from prefect import flow
NAME = "from-variable"

@flow(name=NAME)
def first(): return 1

@flow
async def second_flow(): return 2

def plain(x, y: str = "q"): return x

class Group:
    @flow
    def method(self, n: int): return n
    @flow
    @staticmethod
    def static(): return 4
    @flow
    @classmethod
    def by_class(cls): return cls.__name__

if __name__ == "__main__":
    raise RuntimeError("run as a script")
""",
    "no_flows.py": "x = 1\n",
    "lacks_package.py": """
from prefect import flow
import package_that_is_not_there as gone

@gone.decorate
@flow(name="lacking", retries=3, log_prints=True, description=gone.text)
def lacking(x: gone.Type, y: int = 5, z=gone.DEFAULT) -> gone.Result:
    "hey"
    return y

@flow
async def lacking_async(x: "gone.Type"): ...
""",
    "raises.py": """
from prefect import flow

@flow
def fine(): return "fine"

@flow
def uses_a_loop():
    return NAMES

NAMES = ["a"]
raise RuntimeError("boom")
""",
    "assigned.py": """
from prefect import flow
def function(): return 1
made = flow(function, name="made")
renamed = made.with_options(name="renamed")
""",
    "package/__init__.py": "",
    "package/module.py": "from . import other\nfrom prefect import flow\n@flow\ndef packed(): return other.VALUE\n",
    "package/other.py": "VALUE = 1\n",
}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = dict(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - set(before):
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in sys.modules[name].__file__:
            del sys.modules[name]


@pytest.mark.parametrize(
    ("entrypoint", "name"),
    [
        ("one_flow.py:one", "My One"),
        ("./one_flow.py:one", "My One"),
        ("one_flow.py", "My One"),
        ("many_flows.py:first", "from-variable"),
        ("many_flows.py:second_flow", "second-flow"),
        ("many_flows.py:Group.method", "method"),
        ("many_flows.py:Group.static", "static"),
        ("many_flows.py:Group.by_class", "by-class"),
        ("assigned.py:made", "made"),
        ("assigned.py:renamed", "renamed"),
        ("package.module:packed", "packed"),
        ("package.module.packed", "packed"),
    ],
)
def test_finds_the_flow(entrypoint, name):
    found = load_flow_from_entrypoint(entrypoint)
    assert isinstance(found, Flow)
    assert found.name == name


def test_absolute_paths(project):
    assert load_flow_from_entrypoint(f"{project}/one_flow.py:one").name == "My One"


def test_loaded_flows_run(project):
    assert load_flow_from_entrypoint("one_flow.py:one").fn(5) == 5
    assert load_flow_from_entrypoint("package.module:packed").fn() == 1
    os.chdir("/")
    found = load_flow_from_entrypoint(f"{project}/one_flow.py:one")
    assert found.version == "v1"


@pytest.mark.parametrize(
    ("entrypoint", "message"),
    [
        ("many_flows.py:nope", r"'nope' not found in 'many_flows.py'.*'Group.method'.*'first', 'second_flow'"),
        ("many_flows.py:Group.nope", "'Group.nope' not found"),
        ("no_flows.py:f", "'f' not found in 'no_flows.py'. No flows were found"),
        ("no_flows.py", "No flows found in 'no_flows.py'"),
        ("many_flows.py:plain", "'plain' in 'many_flows.py' is not a flow.*@flow"),
        ("math:sqrt", "'sqrt' in 'math' is not a flow"),
    ],
)
def test_says_what_is_missing_and_what_is_there(entrypoint, message):
    with pytest.raises(MissingFlowError, match=message):
        load_flow_from_entrypoint(entrypoint)


def test_a_file_with_several_flows_needs_a_name():
    with pytest.raises(UnspecifiedFlowError, match=r"'from-variable'.*Specify"):
        load_flow_from_entrypoint("many_flows.py")


def test_what_is_not_there_at_all():
    with pytest.raises(FileNotFoundError, match=r"'missing\.py'"):
        load_flow_from_entrypoint("missing.py:f")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        load_flow_from_entrypoint("no_such_package.module:f")
    with pytest.raises(ValueError, match="not an entrypoint"):
        load_flow_from_entrypoint("word")


def test_a_script_that_raises_gives_its_exception():
    with pytest.raises(ScriptError, match=r"raises\.py.*boom") as caught:
        load_flow_from_entrypoint("raises.py:fine", use_placeholder_flow=False)
    assert isinstance(caught.value.user_exc, RuntimeError)


def test_a_flow_is_taken_out_of_a_script_that_raises():
    assert load_flow_from_entrypoint("raises.py:fine").fn() == "fine"
    assert load_flow_from_entrypoint("raises.py:uses_a_loop").fn() == ["a"]


def test_a_flow_whose_packages_are_missing_is_still_known():
    found = load_flow_from_entrypoint("lacks_package.py:lacking")
    assert (found.name, found.description, found.retries, found.log_prints) == ("lacking", "hey", 3, True)
    assert found.fn(None) == 5


def test_placeholder_flows_raise_the_reason():
    reason = ScriptError(user_exc=ModuleNotFoundError("gone"), path="lacks_package.py")
    stand_in = load_placeholder_flow("lacks_package.py:lacking", raises=reason)
    assert (stand_in.name, stand_in.description, stand_in.retries) == ("lacking", "hey", 3)
    with pytest.raises(ScriptError, match="gone"):
        stand_in.fn(1, 2)
    assert load_placeholder_flow("lacks_package.py:lacking_async", raises=reason).isasync


def test_safe_loading():
    assert safe_load_flow_from_entrypoint("one_flow.py:one").version == "v1"
    assert safe_load_flow_from_entrypoint("many_flows.py:plain") is None
    with pytest.raises(ValueError, match=r"'zz' in 'many_flows\.py'"):
        safe_load_flow_from_entrypoint("many_flows.py:zz")


def test_functions_become_flows():
    found = load_function_and_convert_to_flow("many_flows.py:plain")
    assert isinstance(found, Flow)
    assert (found.name, found.log_prints) == ("plain", True)
    assert load_function_and_convert_to_flow("one_flow.py:one").name == "My One"
    with pytest.raises(MissingFlowError, match="no function 'zz'"):
        load_function_and_convert_to_flow("many_flows.py:zz")
    with pytest.raises(MissingFlowError, match="not a function"):
        load_function_and_convert_to_flow("many_flows.py:NAME")


@pytest.mark.parametrize(
    ("entrypoint", "expected"),
    [
        ("one_flow.py:one", {"name": "My One", "description": "d", "version": "v1", "retries": 3}),
        ("many_flows.py:first", {"name": "from-variable"}),
        ("many_flows.py:second_flow", {"name": "second-flow"}),
        ("many_flows.py:Group.method", {"name": "method"}),
        ("package.module:packed", {"name": "packed"}),
        ("lacks_package.py:lacking", {"name": "lacking", "retries": 3, "log_prints": True}),
    ],
)
def test_decorator_arguments_are_read_from_source(entrypoint, expected):
    before = set(sys.modules)
    assert load_flow_arguments_from_entrypoint(entrypoint) == expected
    assert not {"one_flow", "many_flows", "package.module"} & (set(sys.modules) - before)


def test_only_the_wanted_arguments():
    assert load_flow_arguments_from_entrypoint("one_flow.py:one", {"version"}) == {"version": "v1"}
    assert load_flow_arguments_from_entrypoint("lacks_package.py:lacking", ["name", "x"]) == {"name": "lacking"}


def test_async_is_read_from_source():
    assert is_entrypoint_async("many_flows.py:second_flow")
    assert not is_entrypoint_async("many_flows.py:first")
    assert not is_entrypoint_async("package.module:packed")
    with pytest.raises(ValueError, match="made"):
        is_entrypoint_async("assigned.py:made")


def test_schemas_are_read_from_source():
    schema = parameter_schema_from_entrypoint("lacks_package.py:lacking")
    assert schema.properties["x"] == {"position": 0, "title": "x"}
    assert schema.properties["y"] == {"position": 1, "title": "y", "type": "integer", "default": 5}
    assert schema.required == ["x"]
    assert parameter_schema_from_entrypoint("many_flows.py:plain").properties["y"]["default"] == "q"
    method = parameter_schema_from_entrypoint("many_flows.py:Group.method")
    assert method.properties == {"n": {"position": 1, "title": "n", "type": "integer"}}


def test_select_flow():
    @flow(name="a")
    def a(): ...

    @flow(name="b")
    def b(): ...

    assert select_flow([a]) is a
    assert select_flow([a, b], "b") is b
    with pytest.raises(UnspecifiedFlowError, match="'a', 'b'"):
        select_flow([a, b])
    with pytest.raises(MissingFlowError, match=r"'c' not found in 'x\.py'.*'a', 'b'"):
        select_flow([a, b], "c", from_message="in 'x.py'")
    with pytest.raises(MissingFlowError, match="No flows found"):
        select_flow([])


def test_flows_module_offers_the_loaders():
    import prefect.flows

    assert prefect.flows.load_flow_from_entrypoint is entrypoints.load_flow_from_entrypoint
    assert Path(entrypoints.__file__).name == "_entrypoints.py"
