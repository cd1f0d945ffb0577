"""Where a flow can be found again by another process."""

from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.exceptions import MissingFlowError

if TYPE_CHECKING:
    from prefect.flows import Flow


def entrypoint_of(flow: Flow[..., Any], *, by_module: bool = False) -> str:
    """The entrypoint of a flow: `path/to/file.py:name`, relative to the working directory, or `package.module.name`.

    Raises:
        MissingFlowError: the flow cannot be found by its place: it was defined in an interactive session or inside of a function.
    """
    known = flow._entrypoint
    if known is not None and not by_module:
        return known
    name = _name_in_module(flow)
    if by_module:
        module = flow.fn.__module__
        if module == "__main__":
            raise MissingFlowError(
                f"Flow {flow.name!r} is defined in the script that is run, which is no module to import. "
                "Move it to a module of its own, or use an entrypoint by file."
            )
        return f"{module}.{name}"
    file = source_file(flow)
    if file is None:
        raise MissingFlowError(
            f"Flow {flow.name!r} was not defined in a file, so another process cannot find it. Put it into a file."
        )
    return f"{_relative(file)}:{name}"


def source_file(flow: Flow[..., Any]) -> Path | None:
    """The file that a flow is defined in."""
    try:
        found = inspect.getsourcefile(inspect.unwrap(flow.fn)) or ""
    except TypeError:
        return None
    file = Path(found)
    return file if found and file.is_file() else None


def _relative(file: Path) -> str:
    try:
        return Path(os.path.relpath(file)).as_posix()
    except ValueError:  # another drive
        return str(file)


def _name_in_module(flow: Flow[..., Any]) -> str:
    """The name under which the module has this flow, which need not be that of the function."""
    name = flow.fn.__qualname__
    module = sys.modules.get(flow.fn.__module__)
    if module is not None and _look_up(module, name) is not flow:
        other = next((key for key, value in vars(module).items() if value is flow), None)
        name = other or name
    if "<locals>" in name or "<lambda>" in name:
        raise MissingFlowError(
            f"Flow {flow.name!r} is defined inside of a function ({flow.fn.__qualname__}), so another process cannot find "
            "it. Define it at the top of a file."
        )
    return name


def _look_up(module: Any, path: str) -> Any:
    found = module
    for part in path.split("."):
        found = getattr(found, part, None)
    return found
