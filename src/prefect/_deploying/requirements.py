"""What a step requires: packages that are installed when they are missing."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from packaging import requirements as _packaging
    from packaging.requirements import Requirement
else:
    _packaging = lazy_module("packaging.requirements")  # most steps require nothing


class RequirementError(RuntimeError):
    """Something that a step requires cannot be had."""


def parse(requirements: str | list[str]) -> list[Requirement]:
    """Read requirements such as `prefect-aws>=0.5`.

    Raises:
        RequirementError: one cannot be read, or names an address to install from.
    """
    parsed: list[Requirement] = []
    for text in [requirements] if isinstance(requirements, str) else requirements:
        try:
            requirement = _packaging.Requirement(text)
        except _packaging.InvalidRequirement as error:
            raise RequirementError(f"{text!r} is not a requirement (PEP 508), such as 'prefect-aws>=0.5'.") from error
        if requirement.url:
            # whoever may change a deployment could otherwise run any code on its workers
            raise RequirementError(
                f"The requirement {requirement.name!r} names an address to install from, which is refused. Install it "
                "beforehand, or in a step of its own (`run_shell_script`)."
            )
        parsed.append(requirement)
    return parsed


def missing(requirements: list[Requirement]) -> list[Requirement]:
    """Those that are not installed, or not in a fitting version."""
    return [requirement for requirement in requirements if not _is_met(requirement)]


def _is_met(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)


def installer() -> list[str]:
    """The command that installs packages for this interpreter: pip, or uv where pip is not there.

    Raises:
        RequirementError: there is neither.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install"]
    uv = shutil.which("uv")
    if uv is None:
        raise RequirementError(f"Packages cannot be installed: {sys.executable} has no pip, and there is no uv.")
    return [uv, "pip", "install", "--python", sys.executable]


async def ensure(requirements: str | list[str], say: Callable[[str], object]) -> None:
    """Install what is missing.

    Raises:
        RequirementError: it cannot be installed; the message has the end of what the installer said.
    """
    wanted = missing(parse(requirements))
    if not wanted:
        return
    names = [str(requirement) for requirement in wanted]
    say(f"Installing {', '.join(names)}, which the step requires...")
    command = [*installer(), "--quiet", *names]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RequirementError(f"Installing {', '.join(names)} failed: {_last_lines(done.stderr or done.stdout)}")
    importlib.invalidate_caches()


def _last_lines(text: str, count: int = 5) -> str:
    return "\n".join(text.strip().splitlines()[-count:])
