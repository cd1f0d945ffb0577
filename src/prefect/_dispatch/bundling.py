"""Bundles: a flow and a run of it as JSON, for a process that has neither its code nor a deployment of it.

The flow is pickled by cloudpickle, with the modules beside it that are not installed anywhere; the process that carries
it out needs Python of the same version and the packages that the flow imports. Whoever can change a bundle can run code where it
is carried out: keep them where only those can write who may do that.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import pickle
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect.logging.configuration import ensure_logging_setup

if TYPE_CHECKING:
    import cloudpickle

    from prefect._dispatch import execution
    from prefect._schemas import flow_runs
    from prefect._schemas.flow_runs import FlowRun
    from prefect.flows import Flow
else:
    cloudpickle = lazy_module("cloudpickle")
    execution = lazy_module("prefect._dispatch.execution")
    flow_runs = lazy_module("prefect._schemas.flow_runs")


def create(flow: Flow[..., Any], flow_run: FlowRun, context: dict[str, Any] | None = None) -> dict[str, Any]:
    """A bundle.

    Args:
        flow: the flow.
        flow_run: a run of it that exists already.
        context: what is current, from `prefect.context.serialize_context`.

    Raises:
        TypeError: the flow, or something it refers to, cannot be pickled.
    """
    with _by_value(_local_modules(flow)):
        try:
            function = _packed(flow)
        except Exception as exc:
            raise TypeError(
                f"Flow {flow.name!r} cannot be sent to other infrastructure: {exc}. Make what cannot be pickled (connections, "
                "locks, open files) inside the flow instead of outside."
            ) from exc
    return {
        "function": function,
        "context": _packed(context or {}),
        "flow_run": flow_run.model_dump(mode="json"),
        "dependencies": "\n".join(installed()),
        "files_key": None,
    }


def extract(bundle: dict[str, Any]) -> Flow[..., Any]:
    """The flow of a bundle.

    Raises:
        ModuleNotFoundError: it needs a package that is not installed here.
    """
    return _unpacked(bundle["function"])


def carry_out(bundle: dict[str, Any]) -> int:
    """Carry out the run of a bundle in this process; returns the exit status."""
    ensure_logging_setup()
    run = flow_runs.FlowRun.model_validate(bundle["flow_run"])
    try:
        flow = extract(bundle)
    except Exception as exc:
        message = (
            f"The flow could not be taken out of its bundle: {type(exc).__name__}: {exc}. Install what it needs where it is "
            "carried out, and the version of Python that it was made with."
        )
        execution._logger(run).error(message, exc_info=True)
        execution._crash(run, message)
        return execution.FAILED_STATUS
    return execution.run_loaded(flow, run)


def _packed(value: Any) -> str:
    return base64.b64encode(gzip.compress(cloudpickle.dumps(value), mtime=0)).decode()


def _unpacked(text: str) -> Any:
    return pickle.loads(gzip.decompress(base64.b64decode(text)))


# -- what belongs to a flow ------------------------------------------------------------------------------------------


def _local_modules(flow: Flow[..., Any]) -> list[ModuleType]:
    """The flow's module and those it uses that are in no installed package."""
    found: dict[str, ModuleType] = {}
    pending = [sys.modules.get(getattr(flow.fn, "__module__", "") or "")]
    while pending:
        module = pending.pop()
        if module is None or module.__name__ in found or module.__name__ == "__main__" or not _is_local(module):
            continue
        found[module.__name__] = module
        for value in vars(module).values():
            if isinstance(value, ModuleType):
                pending.append(value)
            elif isinstance(getattr(value, "__module__", None), str):
                pending.append(sys.modules.get(value.__module__))
    return list(found.values())


def _is_local(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if not file or module.__name__.partition(".")[0] == "prefect":
        return False
    path = os.path.realpath(file)
    places = {os.path.realpath(sysconfig.get_paths()[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return not any(path.startswith(place + os.sep) for place in places)


@contextmanager
def _by_value(modules: Iterable[ModuleType]) -> Iterator[None]:
    """Let cloudpickle take along what is defined in these modules, for the duration of a `with` block."""
    registered = []
    for module in modules:
        try:
            cloudpickle.register_pickle_by_value(module)
            registered.append(module)
        except ValueError:  # a module that was made, not imported
            continue
    try:
        yield
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)


def installed() -> list[str]:
    """The packages of this environment, as `name==version`; those under development here are left out."""
    found = set()
    for one in metadata.distributions():
        name = one.metadata["Name"]
        if name and not one.read_text("direct_url.json"):
            found.add(f"{name}=={one.version}")
    return sorted(found, key=str.lower)


# -- files -----------------------------------------------------------------------------------------------------------


def zip_files(patterns: Iterable[str], base: Path, target: Path) -> str:
    """Put files into a zip file.

    Args:
        patterns: paths or glob patterns below `base`; those of folders take all in them. One with `!` leaves out again.
        base: the folder that names in the zip file are relative to.
        target: the zip file.

    Returns:
        the SHA-256 of the zip file, in hexadecimal.

    Raises:
        ValueError: a pattern leads out of `base`, or matches nothing.
    """
    chosen: dict[Path, None] = {}
    root = base.resolve()
    for pattern in patterns:
        negative, pattern = pattern.startswith("!"), pattern.removeprefix("!")
        matches = [path for path in _matching(root, pattern) if path.is_file()]
        if not matches and not negative:
            raise ValueError(f"There are no files {pattern!r} in {str(base)!r} to take along with the flow.")
        for path in matches:
            if not path.resolve().is_relative_to(root):
                raise ValueError(f"{pattern!r} leads out of {str(base)!r}: only what is in it can be taken along.")
            if negative:
                chosen.pop(path, None)
            else:
                chosen[path] = None
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(chosen):
            info = zipfile.ZipInfo(path.relative_to(root).as_posix())  # without the time: the same files, the same hash
            info.external_attr = (path.stat().st_mode & 0o777) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes())
    return hashlib.sha256(target.read_bytes()).hexdigest()


def _matching(root: Path, pattern: str) -> Iterator[Path]:
    path = root / pattern
    if path.is_dir():
        yield from path.rglob("*")
    elif any(character in pattern for character in "*?["):
        yield from root.glob(pattern)
    elif path.exists():
        yield path
