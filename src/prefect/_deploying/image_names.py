"""Names of images, and the Dockerfile of those who have none."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import prefect

_DEVELOPMENT = re.compile(r"\+\d+\.g(?P<commit>[0-9a-f]+)")
_POST = re.compile(r"\.post\d+$")


def python_version_minor() -> str:
    """The version of this Python, such as `3.12`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def python_version_micro() -> str:
    """The version of this Python, such as `3.12.4`."""
    return platform.python_version()


def format_outlier_version_name(version: str) -> str:
    """A Python version as images are named, of forms such as `3.12.0a1+`."""
    return version.removesuffix("+")


def get_prefect_image_name(
    prefect_version: str | None = None, python_version: str | None = None, flavor: str | None = None
) -> str:
    """The name of the published image with Prefect of a version.

    Its client speaks the same API, so flows in it run against our server.

    Args:
        prefect_version: of Prefect; that of the API which this package implements unless given.
        python_version: such as `3.12`; this one's unless given.
        flavor: a kind of image, such as `conda`.
    """
    version = prefect_version or prefect.__version__.partition("+pluperfect")[0]
    development = _DEVELOPMENT.search(version)
    name = f"prefecthq/prefect-dev:sha-{development['commit'][:7]}" if development else f"prefecthq/prefect:{version}"
    tag = f"{name}-python{python_version or python_version_minor()}"
    return f"{tag}-{flavor}" if flavor else tag


def parse_image_tag(name: str) -> tuple[str, str | None]:
    """The name of an image and its tag (or digest), which may be None; a port of the registry is no tag."""
    name, at, digest = name.partition("@")
    if at:
        return name, digest
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, None
    return head, tag


def split_repository_path(repository_path: str) -> tuple[str | None, str]:
    """The registry, or the account at the default one, and the name of a repository.

    Returns:
        `("registry.example.com:5000/team", "app")` of `registry.example.com:5000/team/app`; None and the name of a plain one.
    """
    head, slash, last = repository_path.rpartition("/")
    return (head, last) if slash else (None, last)


def default_dockerfile(context: Path) -> str:
    """The text of a Dockerfile that copies a folder's files, and installs what its `requirements.txt` lists."""
    target = f"/opt/prefect/{context.resolve().name}"
    lines = [f"FROM {get_prefect_image_name()}"]
    if (context / "requirements.txt").exists():
        lines += [f"COPY requirements.txt {target}/requirements.txt", f"RUN pip install -r {target}/requirements.txt"]
    lines += [f"COPY . {target}/", f"WORKDIR {target}/"]
    return "\n".join(lines) + "\n"


@contextmanager
def generate_default_dockerfile(context: Path | None = None) -> Iterator[Path]:
    """Have a Dockerfile in a folder for the duration of a `with` block.

    Args:
        context: the folder; the working directory unless given.

    Raises:
        RuntimeError: there is one already.
    """
    folder = context or Path.cwd()
    file = folder / "Dockerfile"
    try:
        with file.open("x", encoding="utf-8") as text:
            text.write(default_dockerfile(folder))
    except FileExistsError as error:
        raise RuntimeError(
            f"Failed to generate Dockerfile: {file} exists already. Use it, with `dockerfile={file.name!r}`, or remove it."
        ) from error
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)
