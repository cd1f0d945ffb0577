"""`python -m prefect.bundles.step MODULE ...`: run a module that uploads or carries out a bundle, where it is to be had.

It is run by this interpreter if the module is installed here, which takes no time and needs no network; else by uv, in
an environment with what it requires.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import runpy
import shutil
import sys
import warnings
from typing import TYPE_CHECKING, NoReturn

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from prefect import bundles
    from prefect._dispatch import execution
else:
    bundles = lazy_module("prefect.bundles")
    execution = lazy_module("prefect._dispatch.execution")

__all__ = ["run"]


def run(module: str, arguments: list[str], requires: list[str] | None = None) -> None:
    """Run a module as a program, in this process if it is installed; else this process becomes uv, which runs it.

    Args:
        module: such as `prefect_aws.experimental.bundles.upload`.
        arguments: of its command line.
        requires: packages that it comes with.
    """
    if _is_here(module):
        sys.argv = [module, *arguments]
        # packages that import such a module themselves are no concern of whoever reads the output
        warnings.filterwarnings("ignore", message=".* found in sys.modules", category=RuntimeWarning)
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except ModuleNotFoundError as exc:
            _lacking(module, exc)
        return
    uv = shutil.which("uv")
    if uv is None:
        packages = " ".join(requires or ()) or f"the package of {module}"
        _give_up(
            f"{module} is not installed where the bundle is to be uploaded or carried out, and there is no uv that could "
            f"fetch it. Install {packages} there, or give the work pool's storage a launcher."
        )
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = ",".join(bundles._pin_prefect_in_bundle_step_requires(requires))
    os.execv(uv, [uv, "run", "--quiet", "--with", wanted, "--python", version, "-m", module, *arguments])


def _is_here(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError as exc:
        if not f"{module}.".startswith(f"{exc.name}."):
            _lacking(module, exc)
        return False  # a package above it is not there


def _lacking(module: str, exc: ModuleNotFoundError) -> NoReturn:
    _give_up(f"{module} needs the module {exc.name!r}, which is not installed here. Install what it comes in.")


def _give_up(message: str) -> NoReturn:
    id = execution.id_from_environment()
    if id is not None:  # the run that it is about should say so, too
        execution.crash_by_id(id, message)
    sys.exit(message)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m prefect.bundles.step", description="Run the step of a bundle.")
    parser.add_argument("--requires", action="append", help="a package that the module comes in; may be repeated")
    parser.add_argument("module", help="what uploads the bundle, or carries it out")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments")
    given = parser.parse_args()
    run(given.module, given.arguments, given.requires)
