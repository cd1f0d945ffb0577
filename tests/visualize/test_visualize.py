from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from prefect import _visualize, flow, task, unmapped
from prefect.exceptions import ParameterBindError
from prefect.utilities import visualization as viz


@task
def plain(x=1, **rest):
    raise AssertionError("a task must not run while its flow is drawn")


@task(name="with a value", viz_return_value=[1, 2])
def valued(x=None):
    raise AssertionError


@task
async def waiting(x=None, y=None):
    raise AssertionError


def lines(text):
    return [line.strip() for line in text.splitlines()]


def arrows(text):
    return sorted(line for line in lines(text) if "-->" in line)


def test_calls_and_dependencies():
    @flow
    def pipeline():
        a = plain()
        b = plain(a)
        c = valued([a, {"k": b}])
        plain(c)
        plain(c[0])

    assert pipeline.generate_mermaid_graph() == "\n".join(
        [
            "flowchart TD",
            '    plain_0["plain-0"]',
            '    plain_1["plain-1"]',
            '    with_a_value_0["with a value-0"]',
            '    plain_2["plain-2"]',
            '    plain_3["plain-3"]',
            "    plain_0 --> plain_1",
            "    plain_0 --> with_a_value_0",
            "    plain_1 --> with_a_value_0",
            "    with_a_value_0 --> plain_2",
        ]
    )


def test_arguments_are_those_of_the_flow():
    @flow
    def pipeline(n: int, *, k=1):
        for i in range(n + k):
            plain(i)

    assert len(lines(pipeline.generate_mermaid_graph(2))) == 4
    assert len(lines(pipeline.generate_mermaid_graph(2, k=0))) == 3
    with pytest.raises(ParameterBindError, match="'n'"):
        pipeline.generate_mermaid_graph()


def test_a_sub_flow_is_one_place():
    @flow
    def child(x):
        plain(x)

    @flow
    def parent():
        child(plain())

    assert arrows(parent.generate_mermaid_graph()) == ["plain_0 --> child_0"]
    assert "plain_1" not in parent.generate_mermaid_graph()


def test_no_tasks():
    @flow
    def nothing():
        pass

    assert nothing.generate_mermaid_graph() == "flowchart TD"


def test_generator_flows():
    @flow
    def pieces():
        yield plain()
        yield plain()

    assert len(lines(pieces.generate_mermaid_graph())) == 3


async def test_async_flows():
    @flow
    async def pipeline():
        first = await waiting()
        await waiting(first, y=first)

    expected = ["waiting_0 --> waiting_1"]
    assert arrows(await pipeline.agenerate_mermaid_graph()) == expected
    assert arrows(await pipeline.generate_mermaid_graph()) == expected


def test_async_flows_from_synchronous_code():
    @flow
    async def pipeline():
        await waiting(await waiting())

    assert arrows(pipeline.generate_mermaid_graph()) == ["waiting_0 --> waiting_1"]


def test_errors_keep_their_type_and_get_advice():
    @flow
    def uses_a_result():
        return plain() + 1

    with pytest.raises(TypeError) as caught:
        uses_a_result.generate_mermaid_graph()
    assert "viz_return_value" in "".join(caught.value.__notes__)
    assert viz.get_task_viz_tracker() is None


def test_tracker():
    assert viz.get_task_viz_tracker() is None
    with viz.TaskVizTracker() as tracker:
        assert viz.get_task_viz_tracker() is tracker
        first = viz.track_viz_task(False, "t", {"x": 1})
        value = {"q": 1}
        assert viz.track_viz_task(False, "t", {"x": [first]}, viz_return_value=value) is value
        viz.track_viz_task(False, "u", {"x": value, "y": None, "z": True})
        viz.track_viz_task(False, "u", {"x": 1}, viz_return_value=1)
        viz.track_viz_task(False, "u", {"x": 1})
    found = [(each.name, [up.name for up in each.upstream_tasks]) for each in tracker.tasks]
    assert found == [("t-0", []), ("t-1", ["t-0"]), ("u-0", ["t-1"]), ("u-1", []), ("u-2", [])]
    assert viz.get_task_viz_tracker() is None
    with pytest.raises(viz.FlowVisualizationError):
        viz.track_viz_task(False, "t", {})


async def test_asynchronous_calls_are_noted_when_made():
    with viz.TaskVizTracker() as tracker:
        later = viz.track_viz_task(True, "t", {})
        assert len(tracker.tasks) == 1
        assert await later is tracker.tasks[0]


async def test_submitted_and_mapped_calls():
    with viz.TaskVizTracker() as tracker:
        future = viz.track_viz_submit("s", {"x": 1}, viz_return_value="value")
        assert future.result() == await future == "value"
        assert future.wait() is None
        unknown = viz.track_viz_submit("s", {"x": [future]})
        mapped = viz.track_viz_map("m", {"x": [1, 2, 3], "y": unmapped([1, 2]), "z": unknown})
        assert len(mapped) == 3
        viz.track_viz_map("end", {"x": mapped})
        viz.track_viz_task(False, "end", {"x": mapped.result(), "y": future.result()})
    assert [each.name for each in tracker.tasks] == ["s-0", "s-1", "m-0", "end-0", "end-1"]
    text = viz.build_mermaid_dependencies(tracker)
    assert arrows(text) == sorted(["s_0 --> s_1", "s_1 --> m_0", "m_0 --> end_0", "m_0 --> end_1", "s_0 --> end_1"])


def test_labels_are_escaped_and_names_do_not_clash():
    with viz.TaskVizTracker() as tracker:
        viz.track_viz_task(False, 'a "b"', {})
        viz.track_viz_task(False, "a 'b'", {})
    assert lines(viz.build_mermaid_dependencies(tracker))[1:] == [
        'a__b__0["a #quot;b#quot;-0"]',
        "a__b__0_[\"a 'b'-0\"]",
    ]


def test_graphviz_graph():
    with viz.TaskVizTracker() as tracker:
        viz.track_viz_task(False, "b", {"x": viz.track_viz_task(False, "a", {})})
    source = viz.build_task_dependencies(tracker).source
    assert '"a-0" -> "b-0"' in source


def test_without_the_program_the_error_says_what_to_install(monkeypatch, tmp_path):
    @flow
    def pipeline():
        plain()

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(viz.GraphvizExecutableNotFoundError, match=r"graphviz\.org"):
        pipeline.visualize()


@pytest.mark.skipif(sys.platform != "linux", reason="stands in for the programs that Linux uses")
def test_the_picture_is_written_and_opened(monkeypatch, tmp_path):
    for name, body in (
        ("dot", 'for last; do :; done; cat "$last" > "$last.png"'),
        ("xdg-open", f'cp "$1" {tmp_path}/opened'),
    ):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])

    @flow
    def pipeline():
        plain(plain())

    pipeline.visualize()
    for process in started:
        process.wait(20)
    assert "plain-0" in (tmp_path / "opened").read_text()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with viz.TaskVizTracker() as tracker, pytest.raises(viz.GraphvizImportError, match=r"prefect\[graphviz\]"):
        viz.build_task_dependencies(tracker)


def test_drawing_needs_no_import_by_the_user():
    program = """
from prefect import flow, task
@task
def step(x=None): raise AssertionError
@flow
def pipeline(): step(step())
print(pipeline.generate_mermaid_graph())
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert arrows(done.stdout) == ["step_0 --> step_1"]


def test_the_door_is_light():
    program = (
        "import sys, prefect.utilities.visualization\nassert not {'graphviz', 'asyncio', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert viz.get_task_viz_tracker is _visualize.get_task_viz_tracker
