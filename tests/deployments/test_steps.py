"""Steps: how they are written, filled in and run, and what is said of those that fail."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from prefect import get_client
from prefect._deploying import scripts
from prefect._deploying.requirements import RequirementError, missing, parse
from prefect.client.schemas.actions import VariableCreate
from prefect.deployments.steps.core import StepExecutionError, run_step, run_steps
from prefect.filesystems import LocalFileSystem

SHELL = "prefect.deployments.steps.run_shell_script"


@pytest.fixture(autouse=True)
def in_a_folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    return folder


def steps(*every: dict[str, Any], **outputs: Any) -> dict[str, Any]:
    return asyncio.run(run_steps(list(every), outputs, print_function=lambda text: None))


def tell(text: str) -> dict[str, Any]:
    return {SHELL: {"script": f"echo {text}", "stream_output": False}}


def echo(**values: Any) -> dict[str, Any]:
    """A custom step."""
    return values


ECHO = f"{__name__}.echo"


# ── filling in ──


def test_outputs_are_known_to_the_steps_that_follow():
    done = steps(
        {SHELL: {"id": "one", "script": "echo 1", "stream_output": False}}, tell("{{ one.stdout }} {{ stdout }}")
    )
    assert done == {"one": {"stdout": "1", "stderr": ""}, "stdout": "1 1", "stderr": ""}


def test_a_value_keeps_its_type():
    assert steps({ECHO: {"given": "{{ number }}", "text": "no. {{ number }}"}}, number=3)["given"] == 3


def test_environment_variables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("A_CITY", "Ulm")
    done = steps({ECHO: {"city": "{{ $A_CITY }}", "where": "in {{ $A_CITY }}", "none": "{{ $NOT_SET_ANYWHERE }}"}})
    assert (done["city"], done["where"], done["none"]) == ("Ulm", "in Ulm", "")


def test_variables_and_blocks():
    with get_client(sync_client=True) as client:
        client.create_variable(VariableCreate(name="region", value={"name": "eu", "zones": [1, 2]}))
    LocalFileSystem(basepath="/data").save("disk")
    done = steps(
        {
            ECHO: {
                "region": "{{ prefect.variables.region }}",
                "disk": "{{ prefect.blocks.local-file-system.disk.basepath }}",
                "path": "{{ prefect.blocks.local-file-system.disk.basepath }}/x",
                "deep": [{"list": "{{ prefect.variables.region }}"}],
            }
        }
    )
    assert done["region"] == {"name": "eu", "zones": [1, 2]} == done["deep"][0]["list"]
    assert (done["disk"], done["path"]) == ("/data", "/data/x")


def test_what_looks_like_a_placeholder_in_a_value_is_left_alone():
    done = steps({ECHO: {"text": "{{ risky }}"}}, risky="{{ $HOME }} {{ prefect.variables.x }} {{ other }}")
    assert done["text"] == "{{ $HOME }} {{ prefect.variables.x }} {{ other }}"


@pytest.mark.parametrize(
    "given, message",
    [
        ("{{ nope.stdout }}", r"Nothing is known of {{ nope.stdout }}, .*\(there is: known\)"),
        ("{{ prefect.variables.nope }}", "There is no variable 'nope'.*prefect variable set nope"),
        ("{{ prefect.blocks.secret.nope }}", "There is no block 'nope' of the type 'secret'"),
        ("{{ prefect.blocks.secret }}", "names no block"),
    ],
)
def test_a_placeholder_for_nothing_is_named(given: str, message: str):
    with pytest.raises(StepExecutionError, match=message):
        steps({ECHO: {"x": given}}, known=1)


# ── how steps are written ──


@pytest.mark.parametrize(
    "step, message",
    [
        ({SHELL: {}, "x": {}}, "A step is a dictionary with one key"),
        ({"shell": {}}, "'shell' is not the name of a function"),
        ({"os; import x.y": {}}, "is not the name of a function"),
        ({"nomodule.step": {}}, "There is no module 'nomodule'"),
        ({"prefect.deployments.steps.nope": {}}, "has no function 'nope'"),
        ({SHELL: {"skript": "x"}}, "cannot be called with .*skript.*missing a required argument: 'script'"),
        ({SHELL: ["x"]}, "must be a dictionary, not list"),
        ({ECHO: {"requires": "-r /etc/passwd"}}, "is not a requirement"),
        ({ECHO: {"requires": "x @ https://example.com/x.whl"}}, "names an address"),
    ],
)
def test_a_step_that_is_not_written_well(step: dict[str, Any], message: str):
    with pytest.raises(StepExecutionError, match=message):
        steps(step)


def test_steps_of_a_module_beside(in_a_folder: Path):
    (in_a_folder / "my_steps_of_test.py").write_text("async def twice(x: int) -> dict:\n    return {'y': 2 * x}\n")
    assert asyncio.run(run_step({"my_steps_of_test.twice": {"x": 4, "requires": "pydantic>2", "id": "t"}})) == {"y": 8}


def test_what_is_required_and_not_there():
    assert missing(parse(["pydantic>=2", "pydantic<1", 'pywin32; sys_platform == "never"'])) == parse("pydantic<1")
    with pytest.raises(RequirementError, match="not a requirement"):
        parse("--index-url=x")


# ── commands ──


def test_each_line_is_a_command(capsys: pytest.CaptureFixture[str], in_a_folder: Path):
    script = """
    # a comment
    echo one \\
      'and   two'
    echo "three
four"
    """
    done = asyncio.run(run_step({SHELL: {"script": script}}))
    assert done == {"stdout": "one and   two\nthree\nfour", "stderr": ""}
    assert capsys.readouterr().out == "one and   two\nthree\nfour\n"


def test_a_shell_when_asked_for():
    done = asyncio.run(run_step({SHELL: {"script": "echo b a | tr ' ' '\\n' | sort", "shell": True}}))
    assert done["stdout"] == "a\nb"


def test_environment_and_directory(in_a_folder: Path, monkeypatch: pytest.MonkeyPatch):
    (in_a_folder / "sub").mkdir()
    script = f"{sys.executable} -c \"import os; print(os.getcwd(), os.environ['X'], '$X')\""
    inputs = {"script": script, "directory": "sub", "env": {"X": "y"}, "expand_env_vars": True}
    assert asyncio.run(run_step({SHELL: inputs}))["stdout"] == f"{in_a_folder / 'sub'} y y"


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({"script": "false"}, "failed with error code 1"),
        ({"script": "no-such-program-x"}, "'no-such-program-x' cannot be run: No such file"),
        ({"script": "echo 'open"}, 'cannot be read, from "echo \'open" on: No closing quotation'),
        ({"script": "ls", "directory": "nope"}, "there is no such directory"),
        ({"script": "ls /no-such-thing"}, "No such file or directory"),
    ],
)
def test_a_command_that_fails(inputs: dict[str, Any], message: str):
    with pytest.raises(StepExecutionError, match=message):
        steps({SHELL: inputs})


def test_nothing_runs_after_a_failure(in_a_folder: Path):
    with pytest.raises(StepExecutionError):
        steps({SHELL: {"script": "false\ntouch reached"}}, {SHELL: {"script": "touch reached"}})
    assert not (in_a_folder / "reached").exists()


def test_requirements_of_a_file(in_a_folder: Path):
    (in_a_folder / "requirements.txt").write_text("pydantic\n")
    command = scripts.install_command("requirements.txt")
    assert command[-2:] == ["-r", "requirements.txt"]
    with pytest.raises(ValueError, match="not the name of a file"):
        scripts.install_command("--index-url")
    with pytest.raises(StepExecutionError, match=r"pip_install_requirements` failed with error code \d"):
        steps({"prefect.deployments.steps.pip_install_requirements": {"requirements_file": "nope.txt"}})


# ── pull steps ──


def test_going_to_a_directory(in_a_folder: Path):
    (in_a_folder / "sub").mkdir()
    assert steps({"prefect.deployments.steps.set_working_directory": {"directory": "sub"}}) == {"directory": "sub"}
    assert os.getcwd() == str(in_a_folder / "sub")
    with pytest.raises(StepExecutionError, match=r"FileNotFoundError.*nope"):
        steps({"prefect.deployments.steps.set_working_directory": {"directory": "nope"}})


def test_pulling_by_a_saved_block(in_a_folder: Path, tmp_path: Path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "flow.py").write_text("X = 1")
    LocalFileSystem(basepath=str(source)).save("code")
    step = {
        "prefect.deployments.steps.pull_with_block": {
            "block_type_slug": "local-file-system",
            "block_document_name": "code",
        }
    }
    assert steps(step) == {"directory": "local-file-system-code"}
    assert (in_a_folder / "local-file-system-code" / "flow.py").read_text() == "X = 1"


def test_pulling_from_a_remote_file_system(in_a_folder: Path):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/flows/sub/flow.py", b"X = 1")
    step = {"prefect.deployments.steps.pull_from_remote_storage": {"url": "memory://bucket/flows"}}
    assert steps(step) == {"directory": "bucket/flows"}
    assert (in_a_folder / "bucket" / "flows" / "sub" / "flow.py").read_text() == "X = 1"
    with pytest.raises(StepExecutionError, match=r"pip install .prefect\[remote\]. s3fs|Copying"):
        steps({"prefect.deployments.steps.pull_from_remote_storage": {"url": "s3://bucket/flows"}})


def test_what_is_required_is_installed_first(monkeypatch: pytest.MonkeyPatch, in_a_folder: Path):
    """With an installer that puts a module there, and with one that fails."""
    code = "import sys; open('late_step_of_test.py', 'w').write('def step(): return dict(asked=' + repr(sys.argv[-1]) + ')')"
    monkeypatch.setattr("prefect._deploying.requirements.installer", lambda: [sys.executable, "-c", code])
    step = {"late_step_of_test.step": {"requires": ["late-package-of-test>=1"]}}
    assert steps(step)["asked"] == "late-package-of-test>=1"
    monkeypatch.setattr(
        "prefect._deploying.requirements.installer", lambda: [sys.executable, "-c", "exit('not to be had')"]
    )
    with pytest.raises(StepExecutionError, match="Installing late-package-of-test>=1 failed: not to be had"):
        steps(step)
