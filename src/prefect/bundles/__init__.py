"""Bundles: a flow and a run of it in one file, to be carried out where the flow's code is not."""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.context
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import prefect
from prefect._dispatch import bundling
from prefect._lazy import lazy_module
from prefect.bundles.launchers import BundleLauncher, BundleLauncherOverride
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    from prefect._schemas.flow_runs import FlowRun
    from prefect.bundles import execute
    from prefect.flows import Flow
else:
    execute = lazy_module("prefect.bundles.execute")

__all__ = [
    "BundleCreationResult",
    "BundleLauncher",
    "BundleLauncherOverride",
    "SerializedBundle",
    "convert_step_to_command",
    "create_bundle_for_flow_run",
    "execute_bundle_from_file",
    "execute_bundle_in_subprocess",
    "extract_flow_from_bundle",
]


class SerializedBundle(TypedDict):
    """A flow, a run of it, and what belongs to them, as JSON."""

    function: str
    context: str
    flow_run: dict[str, Any]
    dependencies: str
    files_key: NotRequired[str | None]


class BundleCreationResult(TypedDict):
    """A bundle, and the files that go with it as a zip file, if there are any."""

    bundle: SerializedBundle
    zip_path: Path | None


def create_bundle_for_flow_run(
    flow: Flow[Any, Any], flow_run: FlowRun, context: dict[str, Any] | None = None
) -> BundleCreationResult:
    """Make a bundle.

    Args:
        flow: the flow. For one that is bound to infrastructure, the files it names are put into a zip file.
        flow_run: a run of it that exists already.
        context: what was current, from `prefect.context.serialize_context`.

    Raises:
        TypeError: the flow, or something it refers to, cannot be pickled.
        ValueError: a file that is to go along is not there.
    """
    bundle: Any = bundling.create(flow, flow_run, context)
    patterns = getattr(flow, "include_files", None)
    if not patterns:
        return {"bundle": bundle, "zip_path": None}
    base = Path(getattr(flow, "include_files_base_dir", None) or _folder_of(flow))
    folder = Path(tempfile.mkdtemp(prefix="prefect-bundle-"))
    zip_path = folder / "files.zip"
    digest = bundling.zip_files(patterns, base, zip_path)
    bundle["files_key"] = f"files/{digest}.zip"
    return {"bundle": bundle, "zip_path": zip_path}


def _folder_of(flow: Flow[Any, Any]) -> Path:
    file = getattr(getattr(flow.fn, "__code__", None), "co_filename", None)
    return Path(file).parent if file and os.path.isfile(file) else Path.cwd()


def extract_flow_from_bundle(bundle: SerializedBundle) -> Flow[Any, Any]:
    """The flow of a bundle.

    Raises:
        ModuleNotFoundError: it needs a package that is not installed here.
    """
    return bundling.extract(dict(bundle))


def _carry_out(bundle: dict[str, Any], env: dict[str, str], cwd: str | None) -> None:
    os.environ.update(env)
    if cwd:
        os.chdir(cwd)
    sys.exit(bundling.carry_out(bundle))


def execute_bundle_in_subprocess(
    bundle: SerializedBundle, env: dict[str, Any] | None = None, cwd: Path | str | None = None
) -> multiprocessing.context.SpawnProcess:
    """Carry out the run of a bundle in a process of its own.

    Args:
        bundle: the bundle.
        env: variables on top of this process's environment.
        cwd: its working directory; this one unless given.

    Returns:
        the process, which has been started; its exit code is 1 when the run failed or crashed.
    """
    variables = get_current_settings().to_environment_variables(exclude_unset=True)
    variables |= {name: str(value) for name, value in (env or {}).items() if value is not None}
    process = multiprocessing.get_context("spawn").Process(
        target=_carry_out, args=(dict(bundle), variables, str(cwd) if cwd else None)
    )
    process.start()
    return process


def execute_bundle_from_file(key: str) -> None:
    """Carry out the run of a bundle that is in a file; see `prefect.bundles.execute`.

    Args:
        key: path of the file.
    """
    execute.execute_bundle_from_file(key)


def _pin_prefect_in_bundle_step_requires(requires: str | list[str] | None) -> list[str]:
    """What a step requires, and this version of this package unless it says which one."""
    wanted = [requires] if isinstance(requires, str) else list(requires or ())
    named = [requirement for requirement in wanted if _distribution(requirement) == "prefect"]
    return wanted if named else [*wanted, f"prefect=={prefect.__version__}"]


def _distribution(requirement: str) -> str:
    for end, character in enumerate(requirement):
        if not (character.isalnum() or character in "-_."):
            return requirement[:end].strip().lower()
    return requirement.strip().lower()


def convert_step_to_command(step: dict[str, Any], key: str, quiet: bool = False) -> list[str]:
    """The command line of a step that uploads or carries out a bundle.

    Args:
        step: `{"package.module": inputs}`; `requires` among the inputs are packages to install first, `launcher` the program
            to run the module with instead.
        key: of the bundle in its storage.
        quiet: print less.

    Raises:
        ValueError: there is not exactly one step, or its launcher is not a list of texts.
    """
    module, inputs, launcher, requires = _parts(step)
    if launcher is not None:
        command = [*launcher, "-m", module]
    else:
        command = ["uv", "run", *(["--quiet"] if quiet else [])]
        command += ["--with", ",".join(_pin_prefect_in_bundle_step_requires(requires))]
        command += ["--python", f"{sys.version_info.major}.{sys.version_info.minor}", "-m", module]
    return [*command, *inputs, "--key", key]


def step_command(step: dict[str, Any], key: str, python: str = "python") -> list[str]:
    """The command line of a step, by its launcher or else by `prefect.bundles.step`, which sees what is installed.

    Args:
        step: as of `convert_step_to_command`.
        key: of the bundle in its storage.
        python: the interpreter.
    """
    module, inputs, launcher, requires = _parts(step)
    if launcher is not None:
        return [*launcher, "-m", module, *inputs, "--key", key]
    wanted = [requires] if isinstance(requires, str) else list(requires or ())
    command = [python, "-m", "prefect.bundles.step", *(f"--requires={one}" for one in wanted), module]
    return [*command, *inputs, "--key", key]


def _parts(step: dict[str, Any]) -> tuple[str, list[str], list[str] | None, Any]:
    """A step's module, its inputs as options, its launcher and what it requires."""
    if len(step) != 1:
        raise ValueError(f"Expected exactly one function in the step, not {len(step)}.")
    [(module, given)] = step.items()
    inputs = dict(given)
    launcher, requires = inputs.pop("launcher", None), inputs.pop("requires", None)
    if launcher is not None and (
        not isinstance(launcher, list) or not launcher or not all(isinstance(part, str) for part in launcher)
    ):
        raise ValueError("launcher must be a non-empty list[str]")
    options = [part for name, value in inputs.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    return module, options, launcher, requires


def read_bundle(path: Path | str) -> SerializedBundle:
    """The bundle in a file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
