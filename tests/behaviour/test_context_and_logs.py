"""Run contexts, `prefect.runtime`, tags, loggers, printed output."""

import io
import logging
import os
import subprocess
import sys
import textwrap

import pytest

from prefect import flow, get_run_logger, runtime, tags, task
from prefect.context import FlowRunContext, TagsContext, TaskRunContext, get_run_context
from prefect.exceptions import MissingContextError
from prefect.logging import disable_run_logger, get_logger
from prefect.logging.loggers import flow_run_logger
from prefect.task_runners import ThreadPoolTaskRunner

from .support import PEER, Boom, Calls, both

# --- contexts -----------------------------------------------------------------------------------


@both
async def test_contexts_of_flow_and_task():
    @task(name="T")
    async def inner(x):
        context = get_run_context()
        assert isinstance(context, TaskRunContext) and TaskRunContext.get() is context
        assert context.task is inner and context.parameters == {"x": 1}
        assert context.task_run.state.is_running()
        assert context.start_time.tzinfo is not None
        assert str(context.task_run.flow_run_id) == str(FlowRunContext.get().flow_run.id)
        return context.task_run.name, str(context.task_run.id)

    @flow(name="F", flow_run_name="f-run")
    async def outer(y):
        context = get_run_context()
        assert isinstance(context, FlowRunContext) and FlowRunContext.get() is context
        assert TaskRunContext.get() is None
        assert context.flow is outer and context.flow.name == "F"
        assert context.parameters == {"y": 2} and context.flow_run.parameters == {"y": 2}
        assert context.flow_run.name == "f-run" and context.flow_run.state.is_running()
        assert context.start_time.tzinfo is not None
        assert isinstance(context.task_runner, ThreadPoolTaskRunner)
        direct, submitted = await inner(1), inner.submit(1).result()
        assert get_run_context() is context
        return direct != submitted

    assert await outer(2) is True
    assert FlowRunContext.get() is None and TaskRunContext.get() is None


def test_no_context_outside_of_runs():
    with pytest.raises(MissingContextError, match="No run context available"):
        get_run_context()
    with pytest.raises(MissingContextError, match="There is no active flow or task run context"):
        get_run_logger()


@both
async def test_context_is_gone_after_failures():
    @flow
    async def bad():
        raise Boom

    with pytest.raises(Boom):
        await bad()
    assert FlowRunContext.get() is None


def test_tags_nest_and_end():
    with tags("a", "b") as outer:
        assert outer == {"a", "b"}
        with tags("c"):
            assert TagsContext.get().current_tags == {"a", "b", "c"}
        assert TagsContext.get().current_tags == {"a", "b"}
    assert not (TagsContext.get() and TagsContext.get().current_tags)


# --- runtime ------------------------------------------------------------------------------------


@both
async def test_runtime_inside_of_runs():
    @task(name="T", task_run_name="t-run", tags=["own"])
    async def inner(x):
        t, f = runtime.task_run, runtime.flow_run
        return (t.name, t.task_name, t.parameters, t.run_count, t.tags, str(t.id)), (f.name, f.flow_name, str(f.id))

    @flow(name="F", flow_run_name="f-run", version="v1")
    async def outer(y, z=3):
        f = runtime.flow_run
        assert (f.name, f.flow_name, f.flow_version, f.run_count) == ("f-run", "F", "v1", 1)
        assert f.parameters == {"y": 2, "z": 3}
        assert f.parent_flow_run_id is None and f.root_flow_run_id == f.id
        assert f.parent_deployment_id is None and runtime.deployment.id is None
        assert f.scheduled_start_time.tzinfo is not None
        assert runtime.task_run.id is None and runtime.task_run.name is None
        assert runtime.deployment.flow_run_id == f.id
        return await inner(1), f.id

    (task_row, flow_row), flow_id = await outer(2)
    assert task_row[:5] == ("t-run", "T", {"x": 1}, 1, ["own"])
    assert task_row[5] == str(TaskRunContext.get()) or len(task_row[5]) == 36
    assert flow_row == ("f-run", "F", str(flow_id))


@both
async def test_runtime_of_subflows_names_parent_and_root():
    @flow
    async def leaf():
        return runtime.flow_run.id, runtime.flow_run.parent_flow_run_id, runtime.flow_run.root_flow_run_id

    @flow
    async def middle():
        return runtime.flow_run.id, await leaf()

    @flow
    async def top():
        return runtime.flow_run.id, await middle()

    top_id, (middle_id, (leaf_id, parent, root)) = await top()
    assert (str(parent), str(root)) == (str(middle_id), str(top_id))
    assert len({str(top_id), str(middle_id), str(leaf_id)}) == 3


OUTSIDE = {
    "flow_run": {
        "id": None,
        "tags": [],
        "name": None,
        "flow_name": None,
        "flow_version": None,
        "parameters": {},
        "parent_flow_run_id": None,
        "root_flow_run_id": None,
        "run_count": 0,
    },
    "task_run": {"id": None, "tags": [], "name": None, "parameters": {}, "run_count": 0, "task_name": None},
    "deployment": {"id": None, "name": None, "version": None, "flow_run_id": None, "parameters": {}},
}


@pytest.mark.parametrize("module", OUTSIDE)
def test_runtime_outside_of_runs(module):
    door = getattr(runtime, module)
    assert {name: getattr(door, name) for name in OUTSIDE[module]} == OUTSIDE[module]
    assert set(OUTSIDE[module]) <= set(door.__all__)
    with pytest.raises(AttributeError, match=rf"prefect.runtime.{module} has no attribute 'nothing'"):
        door.nothing  # noqa: B018


def test_runtime_can_be_mocked_by_environment(monkeypatch):
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__NAME", "mocked")
    assert runtime.flow_run.name == "mocked"
    monkeypatch.setenv("PREFECT__RUNTIME__TASK_RUN__RUN_COUNT", "7")
    assert runtime.task_run.run_count in (7, "7")


# --- loggers ------------------------------------------------------------------------------------


@both
async def test_run_loggers_carry_the_run(logs):
    @task(task_run_name="t-run")
    async def inner():
        get_run_logger().warning("from task %s", 1)

    @flow(flow_run_name="f-run")
    async def outer():
        get_run_logger().info("from flow")
        get_run_logger(extra_field="x").debug("debugging")
        await inner()
        return str(runtime.flow_run.id)

    run_id = await outer()
    by_text = {record.getMessage(): record for record in logs.records}
    flow_record, task_record = by_text["from flow"], by_text["from task 1"]
    assert (flow_record.name, flow_record.levelname) == ("prefect.flow_runs", "INFO")
    assert (task_record.name, task_record.levelname) == ("prefect.task_runs", "WARNING")
    assert (flow_record.flow_run_id, flow_record.flow_run_name, flow_record.flow_name) == (run_id, "f-run", "outer")
    assert (task_record.flow_run_id, task_record.task_run_name, task_record.task_name) == (run_id, "t-run", "inner")
    assert task_record.flow_run_name == "f-run"


@both
async def test_what_the_engine_says(logs):
    @task(task_run_name="t")
    async def good():
        return 1

    @task(task_run_name="b")
    async def bad():
        raise Boom("words")

    @flow(flow_run_name="child")
    async def child():
        return 1

    @flow(name="F", flow_run_name="f")
    async def outer():
        await good()
        await bad(return_state=True)
        await child()

    await outer()
    flow_texts = [text for text in logs.of("prefect.flow_runs") if not text.startswith("View at")]
    task_texts = logs.of("prefect.task_runs")
    assert flow_texts == [
        "Beginning flow run 'f' for flow 'F'",
        "Beginning subflow run 'child' for flow 'child'",
        "Finished in state Completed()",
        "Finished in state Completed()",
    ]
    shown = [text for text in task_texts if text.startswith(("Finished", "Task run failed"))]
    assert shown == [
        "Finished in state Completed()",
        "Task run failed with exception: Boom('words')",
        "Finished in state Failed('Task run encountered an exception Boom: words')",
    ]


@both
async def test_a_failing_flow_says_why(logs):
    @flow
    async def bad():
        raise Boom("words")

    await bad(return_state=True)
    texts = logs.of("prefect.flow_runs")
    told = next(record for record in logs.records if "exception during execution" in record.getMessage())
    assert "Boom('words')" in told.getMessage() or "words" in repr(told.exc_info)
    assert texts[-1] == "Finished in state Failed('Flow run encountered an exception: Boom: words')"
    levels = {record.getMessage(): record.levelname for record in logs.records}
    assert levels[texts[-1]] == "ERROR" or levels[texts[-1]] == "INFO"


PRINTS = [
    # flow option, task option, is the flow's print logged, is the task's print logged
    (None, None, False, False),
    (True, None, True, True),
    (True, False, True, False),
    (None, True, False, True),
    (False, True, False, True),
]


@both
@pytest.mark.parametrize("for_flow, for_task, flow_logged, task_logged", PRINTS)
async def test_log_prints(for_flow, for_task, flow_logged, task_logged, logs, capsys):
    @task(log_prints=for_task)
    async def inner():
        print("task", "words", 1, sep="-")

    @flow(log_prints=for_flow)
    async def outer():
        print("flow words")
        await inner()

    await outer()
    assert ("flow words" in logs.of("prefect.flow_runs")) is flow_logged
    assert ("task-words-1" in logs.of("prefect.task_runs")) is task_logged
    out = capsys.readouterr().out
    assert ("flow words" in out) is not flow_logged
    assert ("task-words-1" in out) is not task_logged


@both
async def test_only_prints_to_the_console_are_logged(logs):
    file = io.StringIO()

    @flow(log_prints=True)
    async def outer():
        print("to stdout", file=sys.stdout)
        print("to stderr", file=sys.stderr)
        print("to a file", file=file)

    await outer()
    assert [text for text in logs.messages if text.startswith("to ")] == ["to stdout", "to stderr"]
    assert file.getvalue() == "to a file\n"


@both
async def test_print_is_restored():
    before = print

    @flow(log_prints=True)
    async def outer():
        return print is before

    await outer()
    assert print is before


def test_run_loggers_can_be_disabled_for_tests():
    @task
    def inner():
        get_run_logger().info("words")
        return 1

    with pytest.raises(MissingContextError):
        inner.fn()
    with disable_run_logger():
        assert inner.fn() == 1


def test_named_loggers():
    assert get_logger().name == "prefect"
    assert get_logger("thing").name == "prefect.thing"
    assert get_logger("prefect.other").name == "prefect.other"
    assert isinstance(get_logger("thing"), logging.Logger)


@both
async def test_flow_run_logger_for_a_run(logs):
    @flow(flow_run_name="f-run")
    async def outer():
        flow_run_logger(FlowRunContext.get().flow_run, outer).info("by hand")

    await outer()
    record = next(record for record in logs.records if record.getMessage() == "by hand")
    assert record.flow_run_name == "f-run"


def test_the_console_shows_runs(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            from prefect import flow, task, get_run_logger

            @task(task_run_name="the-task")
            def inner():
                print("printed")
                get_run_logger().warning("careful")

            @flow(log_prints=True, flow_run_name="the-flow", name="F")
            def outer():
                inner()
                get_run_logger().debug("hidden")

            if __name__ == "__main__":
                outer()
            """
        )
    )
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split(" | ", 1)[1] for line in done.stderr.splitlines() if " | " in line]
    wanted = [
        "INFO    | Flow run 'the-flow' - Beginning flow run 'the-flow' for flow 'F'",
        "INFO    | Task run 'the-task' - printed",
        "WARNING | Task run 'the-task' - careful",
        "INFO    | Task run 'the-task' - Finished in state Completed()",
        "INFO    | Flow run 'the-flow' - Finished in state Completed()",
    ]
    assert [line for line in lines if line in wanted] == wanted
    assert "hidden" not in done.stderr
    assert done.stdout == "" or PEER


@both
async def test_log_level_of_a_run(calls: Calls, logs):
    @flow
    async def outer():
        logger = get_run_logger()
        for name in ("debug", "info", "warning", "error", "critical"):
            getattr(logger, name)(name)
        try:
            raise Boom("x")
        except Boom:
            logger.exception("with traceback")

    await outer()
    record = next(record for record in logs.records if record.getMessage() == "with traceback")
    assert record.levelname == "ERROR" and record.exc_info
