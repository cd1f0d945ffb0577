"""A type checker sees the wrapped function's own parameters and result through `@flow` and `@task`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SNIPPETS = Path(__file__).with_name("typed_snippets.py")


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """The checker's errors, by line number."""
    pytest.importorskip("basedpyright", reason="basedpyright is in the group `dev`")
    folder = tmp_path_factory.mktemp("typing")
    config = {"typeCheckingMode": "standard", "pythonVersion": "3.11", "include": [str(SNIPPETS)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(folder)],
        capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {e["range"]["start"]["line"] + 1: e["message"] for e in found if e["severity"] == "error"}


LINES = dict(enumerate(SNIPPETS.read_text(encoding="utf-8").splitlines(), start=1))
WRONG = {number: line for number, line in LINES.items() if line.endswith("# wrong")}


def test_right_code_has_no_errors(errors: dict[int, str]):
    assert {LINES[number]: message for number, message in errors.items() if number not in WRONG} == {}


@pytest.mark.parametrize("number", WRONG, ids=[line.strip() for line in WRONG.values()])
def test_wrong_code_is_an_error(number: int, errors: dict[int, str]):
    assert number in errors
