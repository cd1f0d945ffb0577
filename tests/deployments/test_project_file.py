"""Reading a `prefect.yaml`, and writing a deployment into one."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import yaml
from hypothesis import given

from prefect._deploying.project_file import ProjectFileError, parse, read, save_deployment

GOOD = """\
# mine
name: p
definitions:
  pool: &pool
    name: main
common: &common
  tags: [a]
x-anything: 1
pull:
- prefect.deployments.steps.set_working_directory:
    directory: /x
deployments:
- <<: *common
  name: one
  entrypoint: f.py:f
  work_pool: *pool
  schedules:
  - cron: "* * * * *"
    slug: s
- name: null
- name: two   # the second
  concurrency_limit: {limit: 2, collision_strategy: ENQUEUE}
"""


def text(source: str) -> str:
    return textwrap.dedent(source)


def test_reading(tmp_path: Path):
    file = parse(GOOD, tmp_path / "prefect.yaml")
    assert [deployment["name"] for deployment in file.named()] == ["one", "two"]
    assert file.deployments[0]["tags"] == ["a"] and file.deployments[0]["work_pool"] == {"name": "main"}
    assert (file.build, file.name) == (None, "p")
    assert read(tmp_path / "prefect.yaml") is None
    assert parse("", tmp_path).deployments == []
    assert parse("deployments:\n", tmp_path).deployments == []


@pytest.mark.parametrize(
    "source, line, message",
    [
        ("deployments:\n- nam: x\n", 2, "a deployment has no 'nam'; did you mean 'name'"),
        ("deployments:\n- name: x\n  work_pool:\n    nme: y\n", 4, "`work_pool` has no 'nme'"),
        ("deployments:\n- name: x\n  schedules:\n  - crn: y\n", 4, "a schedule has no 'crn'; did you mean 'cron'"),
        ("deployments:\n- name: x\n  schedule:\n    every: 3\n", 4, "`schedule` has no 'every'"),
        ("deployments:\n- name: x\n  schedules:\n    cron: y\n", 4, "`schedules` must be a list"),
        ("deployments:\n  name: x\n", 2, "`deployments` must be a list"),
        ("deployments:\n- x\n", 2, "a deployment must be a mapping"),
        ("name: p\ndeploymets: []\n", 2, "the file has no 'deploymets'; did you mean 'deployments'"),
        ("pull:\n- step:\n  directory: x\n", 2, "a step has one key.*indented further"),
        ("build:\n  step: {}\n", 2, "`build` must be a list"),
        ("name: p\nname: q\n", 2, "'name' is given twice, first in line 1"),
        ("name: [\n", 2, "expected the node content|did not find|expected ',' or"),
        ("a: b: c\n", 1, "mapping values are not allowed"),
        ("- x\n", 1, "the file must be a mapping"),
        ("deployments:\n- name: x\n  tags: a\n", 3, "`tags` must be a list"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(source: str, line: int, message: str):
    with pytest.raises(ProjectFileError, match=rf"prefect\.yaml, line {line}: .*({message})"):
        parse(source, Path("prefect.yaml"))


# ── saving ──


def saved(before: str, deployment: dict[str, Any], folder: Path) -> tuple[str, list[dict[str, Any]]]:
    file = folder / "prefect.yaml"
    file.write_text(before)
    save_deployment(file, deployment)
    after = file.read_text()
    return after, yaml.safe_load(after)["deployments"]


NEW = {"name": "new", "entrypoint": "f.py:g", "work_pool": {"name": "w"}}


def test_a_form_without_a_name_is_filled_in(tmp_path: Path):
    after, deployments = saved(GOOD, NEW, tmp_path)
    assert [deployment["name"] for deployment in deployments] == ["one", "new", "two"]
    assert "# mine" in after and "# the second" in after and "&pool" in after


def test_a_namesake_is_replaced(tmp_path: Path):
    _, deployments = saved(GOOD, {**NEW, "name": "one"}, tmp_path)
    assert deployments[0] == {**NEW, "name": "one"} and len(deployments) == 3


@pytest.mark.parametrize(
    "before",
    [
        "",
        "name: p",
        "deployments:\n",
        "deployments: []\npull: null\n",
        "deployments:\n  - name: a\n    tags:\n      - x\n\n# the end\npull: null\n",
        "deployments:\n- name: a\n",
        "deployments: null\nname: p\n",
        "deployments: [{name: a}, {name: b}]\nname: p\n",
        "deployments:\n- name: a\n  description: |\n    one\n    two\n\n# the end\npull: null\n",
        "deployments:\n- name: a\n  description: >-\n    one\n    two",
        "deployments:\n- name: a\n  description:\n\npull: null\n",
    ],
)
def test_it_is_added(tmp_path: Path, before: str):
    after, deployments = saved(before, NEW, tmp_path)
    assert deployments[-1] == NEW
    known = yaml.safe_load(before) or {}
    assert deployments[:-1] == (known.get("deployments") or [])
    kept = {name: value for name, value in yaml.safe_load(after).items() if name != "deployments"}
    assert kept == {name: value for name, value in known.items() if name != "deployments"}


names = st.sampled_from(["a", "b", "c", "new"])
# PyYAML itself does not read these back as it wrote them
texts = st.text(st.characters(exclude_characters="\x85\u2028\u2029", codec="utf-8"), max_size=30)
configs = st.builds(
    lambda name, description, tags: {"name": name, "description": description, "tags": tags},
    names,
    st.one_of(st.none(), texts),
    st.lists(texts, max_size=3),
)


@given(before=st.lists(configs, max_size=4, unique_by=lambda config: config["name"]), new=configs)
def test_saving_keeps_all_others(tmp_path_factory: pytest.TempPathFactory, before: list[dict[str, Any]], new: Any):
    folder = tmp_path_factory.mktemp("project")
    start = yaml.safe_dump({"name": "p", "deployments": before, "pull": None}, sort_keys=False, allow_unicode=True)
    _, after = saved(start, new, folder)
    assert {one["name"]: one for one in after} == {**{one["name"]: one for one in before}, new["name"]: new}
