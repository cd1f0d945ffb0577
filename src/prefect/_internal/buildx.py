"""Images built and pushed by `docker buildx`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, TextIO

from prefect._deploying.images import IMAGE_LABELS, BuildError, buildx, push_reference

__all__ = ["BuildError", "buildx_build_image", "buildx_push_image"]


def buildx_build_image(
    context: Path,
    dockerfile: str = "Dockerfile",
    tag: str | None = None,
    extra_tags: list[str] | None = None,
    pull: bool = False,
    platform: str | None = None,
    stream_progress_to: TextIO | None = None,
    push: bool = False,
    **kwargs: Any,
) -> str:
    """Build an image with `docker buildx build`; returns its id.

    Args:
        context: the folder that the build is given.
        dockerfile: the Dockerfile, relative to it.
        tag, extra_tags: the names that the image gets.
        pull: look for a newer base image first.
        platform: such as `linux/amd64`, or several, separated by commas.
        stream_progress_to: a file to write what the build says to.
        push: push the image, instead of loading it into the engine.
        **kwargs: more options of the command: `build_args={"A": "1"}`, `no_cache=True`, `target="x"`.

    Raises:
        BuildError: the build fails.
        ValueError: the folder or the Dockerfile is not there.
        RuntimeError: there is no `docker` command.
    """
    file = Path(context) / dockerfile
    if not Path(context).is_dir() or not file.is_file():
        raise ValueError(f"There is no Dockerfile {file}.")
    tags = [name for name in (tag, *(extra_tags or ())) if name]
    options = [
        *(f"--tag={name}" for name in tags),
        *(f"--label={name}={value}" for name, value in {**(kwargs.pop("labels", None) or {}), **IMAGE_LABELS}.items()),
        *(["--pull"] if pull else []),
        *([f"--platform={platform}"] if platform else []),
        "--push" if push else "--load",
        *_options(kwargs),
    ]
    with tempfile.TemporaryDirectory(prefix="prefect-buildx-") as folder:
        id_file = Path(folder) / "id"
        buildx(
            "build", f"--file={file}", f"--iidfile={id_file}", *options, "--", str(context),
            stream_progress_to=stream_progress_to,
        )  # fmt: skip
        return id_file.read_text().strip()


def _options(given: dict[str, Any]) -> list[str]:
    """Arguments of a function as options of the command: True is a flag, a mapping is repeated as NAME=VALUE."""
    options: list[str] = []
    for name, value in given.items():
        option = "--build-arg" if name in ("build_args", "buildargs") else f"--{name.replace('_', '-')}"
        if isinstance(value, dict):
            options += [f"{option}={key}={part}" for key, part in value.items()]
        elif isinstance(value, list | tuple):
            options += [f"{option}={part}" for part in value]
        elif value is True:
            options.append(option)
        elif value is not None and value is not False:
            options.append(f"{option}={value}")
    return options


def buildx_push_image(name: str, tag: str | None = None, stream_progress_to: TextIO | None = None) -> None:
    """Push an image of the engine.

    Args:
        name: of the image.
        tag: which one; `latest` unless given.
        stream_progress_to: a file to write what the engine says to.

    Raises:
        PushError: it cannot be pushed.
    """
    push_reference(name, tag, stream_progress_to)
