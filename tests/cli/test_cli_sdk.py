"""`prefect sdk generate`: a module that knows the deployments."""

from __future__ import annotations

import ast
import importlib.util
import json
import keyword
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from hypothesis import given
from hypothesis import strategies as st

from prefect.cli import _sdk

from .conftest import Cli, Make

PARAMETERS = {
    "type": "object",
    "properties": {
        "day": {"type": "string", "format": "date", "description": 'the "day" \\ of\nthe week'},
        "n": {"type": "integer"},
        "color": {"$ref": "#/definitions/Color"},
        "part": {"anyOf": [{"$ref": "#/definitions/Part"}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        "table": {"type": "object", "additionalProperties": {"type": "number"}},
        "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": ["integer", "null"]}]},
        "anything": {},
    },
    "required": ["day", "n"],
    "definitions": {
        "Color": {"enum": ["red", "blue"]},
        "Part": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "parts": {"type": "array", "items": {"$ref": "#/definitions/Part"}}},
            "required": ["name"],
        },
    },
}  # fmt: skip


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_module_is_written_and_its_runs_are_made(cli: Cli, deployed: Make, tmp_path: Path) -> None:
    id = deployed("etl", "nightly", parameter_openapi_schema=PARAMETERS, parameters={"day": "2026-01-01"})
    deployed("etl", "hourly-2")
    file = tmp_path / "sub" / "my_sdk.py"
    assert "2 deployments" in cli.ok("sdk", "generate", "-o", str(file))
    module = load(file)
    nightly = module.deployments.from_name("etl/nightly")
    future = nightly.with_options(tags=["typed"], flow_run_name="boo").run(n=3)
    made = cli.json("flow-run", "inspect", str(future.flow_run_id))
    assert (made["deployment_id"], made["name"], made["parameters"]["n"]) == (id, "boo", 3)
    assert "typed" in made["tags"]
    hints = get_type_hints(module.EtlNightlyParameters, globalns=vars(module), include_extras=True)
    assert str(hints["n"]).startswith("typing.Required"), "n must be given: the deployment has no value for it"
    assert "Required" not in str(hints["day"]), "the deployment gives day a value"


def test_some_of_the_deployments(cli: Cli, deployed: Make, tmp_path: Path) -> None:
    for flow, name in (("a", "x"), ("a", "y"), ("b", "x")):
        deployed(flow, name)
    file = tmp_path / "sdk.py"
    for options, names in (
        (["-f", "b"], {"b/x"}),
        (["-d", "x"], {"a/x", "b/x"}),
        (["-d", "a/y"], {"a/y"}),
        (["-f", "a", "-d", "x"], {"a/x"}),
    ):
        cli.ok("sdk", "generate", "--output", str(file), *options)
        assert {name for name in ("a/x", "a/y", "b/x") if repr(name) in file.read_text()} == names
    assert "'z' not found" in cli.fails("sdk", "generate", "-o", str(file), "-d", "z")
    assert "no such deployments" in cli.fails("sdk", "generate", "-o", str(file), "-f", "z")
    assert "--output" in cli.fails("sdk", "generate", status=2)


# what is written, and what a type checker says to it
USES = {
    "from sdk import deployments": "",
    "x = deployments.from_name('etl/nightly')": "",
    "x.run(n=3, color='red', part={'name': 'x', 'parts': []}, pair=('a', None))": "",
    "x.with_options(tags=['x']).run(day='2026-01-01', n=3)": "",
    "deployments.from_name('etl/other').run()": "",
    "x.run()": '"n"',
    "x.run(n='3')": "int",
    "x.run(n=3, color='green')": "green",
    "x.with_options(tag='x')": "tag",
    "deployments.from_name('etl/nope')": "etl/nope",
}


def test_a_type_checker_knows_what_a_run_takes(tmp_path: Path) -> None:
    described = [
        _sdk.Described("etl/nightly", "text", PARAMETERS, frozenset({"day"})),
        _sdk.Described("etl/other", None, {}, frozenset()),
    ]
    (tmp_path / "sdk.py").write_text(_sdk.module_text(described, "here"))
    (tmp_path / "use.py").write_text("\n".join(USES))
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    done = subprocess.run(
        [Path(sys.executable).with_name("basedpyright"), "--pythonpath", sys.executable, "--outputjson", "."],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    said: dict[tuple[str, int], str] = {}
    for one in json.loads(done.stdout)["generalDiagnostics"]:
        place = (Path(one["file"]).name, one["range"]["start"]["line"])
        said[place] = said.get(place, "") + one["message"]
    assert {file for file, _ in said} == {"use.py"}, said
    for number, (line, complaint) in enumerate(USES.items()):
        found = said.get(("use.py", number), "")
        assert complaint in found if complaint else not found, (line, found)


NAMES = st.text(min_size=1, max_size=20)
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([{"type": kind} for kind in ("string", "integer", "null", "boolean", "wat")] + [{}])
    | st.lists(NAMES | st.integers() | st.none()).map(lambda values: {"enum": values})
    | st.sampled_from(["#/definitions/A", "#/nowhere", "http://x", "#"]).map(lambda where: {"$ref": where}),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: {"anyOf": parts})
        | inner.map(lambda part: {"type": "array", "items": part})
        | st.dictionaries(NAMES, inner, max_size=3).map(lambda parts: {"type": "object", "properties": parts})
    ),
    max_leaves=8,
)


@given(st.lists(st.tuples(NAMES, NAMES, NAMES, st.dictionaries(NAMES, SCHEMAS, max_size=4), SCHEMAS), max_size=3))
def test_whatever_the_names_and_schemas_hold_the_module_is_one_and_runs_none_of_it(described: Any) -> None:
    chosen = [
        _sdk.Described(f"{flow}/{name}", text, {"properties": fields, "definitions": {"A": extra}}, frozenset())
        for flow, name, text, fields, extra in described
    ]
    tree = ast.parse(_sdk.module_text(chosen, described[0][2] if described else "here"))
    for node in tree.body:
        assert isinstance(
            node, (ast.Import, ast.ImportFrom, ast.ClassDef, ast.Assign, ast.Expr)
        ), "nothing is run but definitions"  # fmt: skip
        if isinstance(node, ast.ClassDef):
            assert node.name.isidentifier() and not keyword.iskeyword(node.name)
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant)
