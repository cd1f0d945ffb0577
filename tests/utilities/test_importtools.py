from __future__ import annotations

import importlib
import json
import math
import os.path
import pickle
import sys
from pathlib import Path

import pytest

from prefect.exceptions import ScriptError
from prefect.utilities.importtools import (
    AliasedModuleDefinition,
    AliasedModuleFinder,
    from_qualified_name,
    import_object,
    lazy_import,
    load_module,
    load_script_as_module,
    safe_load_namespace,
    to_qualified_name,
)


class Sample:
    def method(self): ...


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / "sibling_module.py").write_text("VALUE = 5\n")
    (tmp_path / "script_here.py").write_text(
        "import sibling_module\nVALUE = sibling_module.VALUE\nNAME = __name__\nclass K:\n    def m(self): return 1\n"
        "def later():\n    import late_module\n    return late_module.VALUE\n"
    )
    (tmp_path / "late_module.py").write_text("VALUE = 6\n")
    (tmp_path / "raises_here.py").write_text("1 / 0\n")
    (tmp_path / "broken_here.py").write_text("def (\n")
    (tmp_path / "random.py").write_text("VALUE = 'not the standard one'\n")
    (tmp_path / "has-dash.py").write_text("VALUE = 'dash'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = dict(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - set(before):
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def test_qualified_names():
    assert to_qualified_name(math.sqrt) == "math.sqrt"
    assert to_qualified_name(Sample.method) == f"{__name__}.Sample.method"
    assert from_qualified_name("math.sqrt") is math.sqrt
    assert from_qualified_name("math") is math
    assert from_qualified_name("os.path.join") is os.path.join
    assert from_qualified_name("pathlib.Path.home") == Path.home
    with pytest.raises(AttributeError, match="nope"):
        from_qualified_name("math.nope")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        from_qualified_name("no_such_module.x")


def test_an_import_error_inside_a_module_is_not_hidden(project):
    (project / "imports_missing.py").write_text("import no_such_module_inside\n")
    sys.path.insert(0, str(project))
    importlib.invalidate_caches()
    with pytest.raises(ModuleNotFoundError, match="no_such_module_inside"):
        from_qualified_name("imports_missing.x")


def test_scripts_are_run_as_modules(project):
    module = load_script_as_module(project / "script_here.py")
    assert (module.VALUE, module.NAME) == (5, "script_here")
    assert module.later() == 6
    assert isinstance(pickle.loads(pickle.dumps(module.K())), module.K)
    assert load_script_as_module("script_here.py") is not module


def test_a_script_does_not_take_the_name_of_another_module(project):
    import random

    module = load_script_as_module("random.py")
    assert module.VALUE == "not the standard one"
    assert sys.modules["random"] is random
    assert sys.modules[module.__name__] is module
    assert load_script_as_module("has-dash.py").VALUE == "dash"


@pytest.mark.parametrize(
    ("file", "error"),
    [("raises_here.py", ZeroDivisionError), ("broken_here.py", SyntaxError), ("missing.py", FileNotFoundError)],
)
def test_what_a_script_raises_is_kept(file, error):
    with pytest.raises(ScriptError, match=file) as caught:
        load_script_as_module(file)
    assert isinstance(caught.value.user_exc, error)
    assert not any("raises_here" in name for name in sys.modules)


def test_load_module_looks_in_the_working_directory():
    assert load_module("math") is math
    before = list(sys.path)
    assert load_module("sibling_module").VALUE == 5
    assert sys.path == before
    with pytest.raises(ModuleNotFoundError):
        load_module("no_such_module")


def test_import_object(project):
    assert import_object(f"{project}/script_here.py:VALUE") == 5
    assert import_object("script_here.py:K.m")(None) == 1
    assert import_object("script_here:K.m")(None) == 1
    assert import_object("math:sqrt") is import_object("math.sqrt") is math.sqrt
    with pytest.raises(AttributeError, match="nope"):
        import_object("script_here.py:nope")
    with pytest.raises(ValueError, match="'math' does not say"):
        import_object("math")


def test_lazy_import():
    assert lazy_import("json") is json
    assert lazy_import("colorsys").rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)
    missing = lazy_import("no_such_module", help_message="Get it.")
    with pytest.raises(ModuleNotFoundError, match=r"(?s)no_such_module.*Get it\."):
        _ = missing.anything
    assert not hasattr(missing, "__wrapped__")
    with pytest.raises(ModuleNotFoundError, match=r"(?s)no_such_module.*Get it\."):
        lazy_import("no_such_module", error_on_import=True, help_message="Get it.")
    with pytest.raises(ModuleNotFoundError):
        lazy_import("no_such_module.child", error_on_import=True)


def test_aliased_modules(monkeypatch):
    told = []
    finder = AliasedModuleFinder([AliasedModuleDefinition("old_json_name", "json", told.append)])
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    try:
        import old_json_name
        import old_json_name.decoder as decoder

        assert old_json_name is json
        assert decoder is json.decoder
        assert "old_json_name" in told
        assert finder.find_spec("other") is None
    finally:
        for name in [name for name in sys.modules if name.startswith("old_json_name")]:
            del sys.modules[name]


SOURCE = """
import math, no_such_module
from no_such_module import thing
from math import *
import os.path as osp
from typing import TYPE_CHECKING
from dataclasses import dataclass
if TYPE_CHECKING:
    from decimal import Decimal, nothing_there
try:
    import colorsys
except ImportError:
    colorsys = None
if __name__ == "__main__":
    raise SystemExit
X = 1
Y: int = 2
Z = 1 / 0
W = thing.x
class A:
    b = X
@dataclass
class D:
    n: "int" = 3
class B(thing.z): pass
@thing.decorate
def lost(): pass
def kept(a: A, c=X): return c
print("not run")
for i in range(3): pass
"""


def test_safe_namespace(capsys):
    names = safe_load_namespace(SOURCE)
    assert {"X", "Y", "A", "D", "kept", "math", "sqrt", "osp", "Decimal", "colorsys"} <= set(names)
    assert not {"Z", "W", "B", "lost", "i", "thing", "no_such_module", "nothing_there"} & set(names)
    assert names["kept"](None) == 1
    assert names["D"]() == names["D"](3)
    assert capsys.readouterr().out == ""
    assert "prefect_safe_namespace_loader" not in sys.modules


def test_safe_namespace_imports_what_is_beside_the_file(project):
    before = list(sys.path)
    names = safe_load_namespace(
        "import sibling_module\nX = sibling_module.VALUE\nfrom . import q\n", filepath=f"{project}/x.py"
    )
    assert names["X"] == 5
    assert sys.path == before
