"""Talking to the engine that builds images: Docker's, or one that speaks its API."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlsplit

import prefect
from prefect._lazy import lazy_module
from prefect.exceptions import PrefectImportError

if TYPE_CHECKING:
    import docker
    import docker.errors as docker_errors
    from docker import DockerClient
else:
    docker = lazy_module("docker")
    docker_errors = lazy_module("docker.errors")

IMAGE_LABELS = {"io.prefect.version": prefect.__version__}
"""What images that are built here say about themselves."""


class BuildError(Exception):
    """The engine could not build an image; the message is its own."""

    __module__ = "prefect.utilities.dockerutils"


class PushError(Exception):
    """The engine could not push an image; the message is its own."""

    __module__ = "prefect.utilities.dockerutils"


@contextmanager
def silence_docker_warnings() -> Iterator[None]:
    """Keep deprecation warnings of the `docker` package quiet in a `with` block."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"docker\..*")
        yield


@contextmanager
def docker_client() -> Iterator[DockerClient]:
    """A client of the engine that the environment names (`DOCKER_HOST`), in a `with` block.

    Raises:
        PrefectImportError: the package `docker` is not installed.
        RuntimeError: no engine answers.
    """
    with silence_docker_warnings():
        try:
            client = docker.from_env()
        except ModuleNotFoundError as error:
            raise PrefectImportError(
                "Building images needs the package `docker`: `pip install 'prefect[docker]'`."
            ) from error
        except docker_errors.DockerException as error:
            raise RuntimeError(
                f"No container engine answers: {error}. Please ensure that Docker (or Podman, or another engine with its "
                "API) is running, and that DOCKER_HOST names it if it is not this machine's own."
            ) from error
    try:
        yield client
    finally:
        client.close()


def build_image(
    context: Path,
    dockerfile: str = "Dockerfile",
    tag: str | None = None,
    pull: bool = False,
    platform: str | None = None,
    stream_progress_to: TextIO | None = None,
    **kwargs: Any,
) -> str:
    """Build an image.

    Args:
        context: the folder that the engine is given.
        dockerfile: the Dockerfile, relative to it.
        tag: the name, with a tag, that the image gets.
        pull: look for a newer base image first.
        platform: such as `linux/amd64`; the engine's own unless given.
        stream_progress_to: a file to write what the engine says to.
        **kwargs: for the engine: `buildargs`, `nocache`, `target`, ...

    Returns:
        The image's id.

    Raises:
        BuildError: the engine refuses, or a step of the Dockerfile fails.
        ValueError: the folder or the Dockerfile is not there.
        RuntimeError: no engine answers.
    """
    if not Path(context).is_dir():
        raise ValueError(f"There is no folder {context} to build an image from.")
    if not (Path(context) / dockerfile).is_file():
        raise ValueError(f"There is no Dockerfile {Path(context) / dockerfile}.")
    labels = {**(kwargs.pop("labels", None) or {}), **IMAGE_LABELS}
    with docker_client() as client:
        try:
            events = client.api.build(
                path=str(context), tag=tag, dockerfile=dockerfile, pull=pull, decode=True, labels=labels,
                platform=platform, rm=True, **kwargs,
            )  # fmt: skip
            image_id = _follow(events, stream_progress_to, BuildError)
        except docker_errors.APIError as error:
            raise BuildError(error.explanation or str(error)) from error
    if image_id is None:
        raise BuildError("The engine ended the build without an image.")
    return image_id


def push_image(
    image_id: str,
    registry_url: str,
    name: str,
    tag: str | None = None,
    stream_progress_to: TextIO | None = None,
) -> str:
    """Name an image as one of a registry's, and push it there.

    Args:
        image_id: of the image.
        registry_url: the registry's address, with or without a scheme.
        name: of the repository at the registry.
        tag: of the image there; `latest` unless given.
        stream_progress_to: a file to write what the engine says to.

    Returns:
        The image's name at the registry, with the tag.

    Raises:
        PushError: the engine or the registry refuses.
        RuntimeError: no engine answers.
    """
    parts = urlsplit(registry_url if "://" in registry_url else f"//{registry_url}")
    repository = f"{parts.netloc}{parts.path}".strip("/") + f"/{name}"
    tag = tag or "latest"
    with docker_client() as client:
        try:
            client.api.tag(image_id, repository, tag=tag)
            _follow(client.api.push(repository, tag=tag, stream=True, decode=True), stream_progress_to, PushError)
        except docker_errors.APIError as error:
            raise PushError(error.explanation or str(error)) from error
    return f"{repository}:{tag}"


def push_reference(name: str, tag: str | None, stream_progress_to: TextIO | None = None) -> None:
    """Push an image that is here under the name that it has at the registry.

    Raises:
        PushError: the engine or the registry refuses.
        RuntimeError: no engine answers.
    """
    with docker_client() as client:
        try:
            events = client.api.push(name, tag=tag, stream=True, decode=True)
            _follow(events, stream_progress_to, PushError)
        except docker_errors.APIError as error:
            raise PushError(error.explanation or str(error)) from error


def _follow(events: Iterable[Mapping[str, Any]], onward: TextIO | None, failure: type[Exception]) -> str | None:
    """Read what the engine says to the end; returns the id of the image that it made."""
    image_id: str | None = None
    for event in events:
        if "error" in event:
            raise failure(event["error"])
        image_id = (event.get("aux") or {}).get("ID") or image_id
        if onward is not None and (text := _shown(event)):
            onward.write(text)
            onward.flush()
    return image_id


def _shown(event: Mapping[str, Any]) -> str:
    if "stream" in event:
        return event["stream"]
    if "status" not in event or event.get("progressDetail"):
        return ""  # bars of progress make no sense line by line
    layer = f"{event['id']}: " if "id" in event else ""
    return f"{layer}{event['status']}\n"


# ── buildx, by the command line ──


def buildx(*arguments: str, stream_progress_to: TextIO | None = None) -> None:
    """Run `docker buildx`.

    Raises:
        BuildError: it failed.
        RuntimeError: there is no `docker` command.
    """
    program = shutil.which("docker")
    if program is None:
        raise RuntimeError("`build_backend='buildx'` needs the `docker` command with its buildx plug-in.")
    done = subprocess.run([program, "buildx", *arguments], capture_output=True, text=True, check=False)
    if stream_progress_to is not None:
        stream_progress_to.write(done.stdout + done.stderr)
    if done.returncode != 0:
        raise BuildError(done.stderr.strip() or f"`docker buildx` failed with exit code {done.returncode}.")
