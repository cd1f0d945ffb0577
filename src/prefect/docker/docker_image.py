"""An image that the runs of a deployment run in, and how it is built."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal, TextIO

from prefect._clock import now
from prefect._deploying import image_names, images
from prefect.settings import get_current_settings
from prefect.utilities.annotations import NotSet
from prefect.utilities.slugify import slugify

__all__ = ["DockerImage"]


class DockerImage:
    """An image that is built for a deployment.

    Args:
        name: of the image, with its registry, and perhaps a tag. A name without a registry gets that of the setting
            `deployments.default_docker_build_namespace`.
        tag: if the name has none; the time unless given.
        dockerfile: the Dockerfile; `"auto"` for one that copies the working directory and installs what its
            `requirements.txt` lists.
        stream_progress_to: a file to write the progress to, standard output unless given; None for none.
        build_backend: `"docker-py"` for the engine's API, `"buildx"` for the `docker buildx` command.
        **build_kwargs: for the engine: `platform`, `buildargs`, `nocache`, `context` (the folder to build from), ...

    Raises:
        ValueError: the name and `tag` both tell a tag, or there is no such backend.
    """

    def __init__(
        self,
        name: str,
        tag: str | None = None,
        dockerfile: str = "auto",
        stream_progress_to: TextIO | type[NotSet] | None = NotSet,
        build_backend: Literal["docker-py", "buildx"] = "docker-py",
        **build_kwargs: Any,
    ) -> None:
        image_name, image_tag = image_names.parse_image_tag(name)
        if tag and image_tag:
            raise ValueError(f"Only one tag can be provided - both {image_tag!r} and {tag!r} were provided as tags.")
        if build_backend not in ("docker-py", "buildx"):
            raise ValueError(f"Invalid build_backend {build_backend!r}. Must be 'docker-py' or 'buildx'.")
        namespace, repository = image_names.split_repository_path(image_name)
        namespace = namespace or get_current_settings().deployments.default_docker_build_namespace
        self.name = f"{namespace}/{repository}" if namespace else repository
        self.tag = tag or image_tag or slugify(now().isoformat())
        self.dockerfile = dockerfile
        self.stream_progress_to: TextIO | None = sys.stdout if stream_progress_to is NotSet else stream_progress_to  # type: ignore[assignment]
        self.build_backend = build_backend
        self.build_kwargs = build_kwargs

    @property
    def reference(self) -> str:
        """The name with the tag or digest."""
        return f"{self.name}{'@' if ':' in self.tag else ':'}{self.tag}"

    def build(self) -> None:
        """Build the image.

        Raises:
            BuildError: the engine refuses, or a step of the Dockerfile fails.
            PrefectImportError: the package `docker` is not installed.
            RuntimeError: no engine answers.
        """
        options = dict(self.build_kwargs)
        context = Path(options.pop("context", None) or Path.cwd())
        if self.dockerfile == "auto":
            with image_names.generate_default_dockerfile(context):
                self._build(context, "Dockerfile", options)
        else:
            self._build(context, self.dockerfile, options)

    def _build(self, context: Path, dockerfile: str, options: dict[str, Any]) -> None:
        if self.build_backend == "buildx":
            images.buildx(*_buildx_arguments(self.reference, context, dockerfile, options),
                          stream_progress_to=self.stream_progress_to)  # fmt: skip
            return
        options.setdefault("pull", True)
        images.build_image(
            context, dockerfile=dockerfile, tag=self.reference, stream_progress_to=self.stream_progress_to, **options
        )

    def push(self) -> None:
        """Push the image to its registry.

        Raises:
            PushError: the engine or the registry refuses.
            RuntimeError: no engine answers.
        """
        images.push_reference(self.name, self.tag, self.stream_progress_to)

    def __repr__(self) -> str:
        return f"DockerImage(name={self.name!r}, tag={self.tag!r}, dockerfile={self.dockerfile!r})"


def _buildx_arguments(reference: str, context: Path, dockerfile: str, options: dict[str, Any]) -> list[str]:
    arguments = ["build", "--load", "--tag", reference, "--file", str(context / dockerfile)]
    for name, value in options.pop("buildargs", {}).items():
        arguments += ["--build-arg", f"{name}={value}"]
    flags = {"pull": "--pull", "nocache": "--no-cache"}
    for name, value in options.items():
        if name in flags:
            arguments += [flags[name]] if value else []
        elif name in ("platform", "target", "network", "push"):
            arguments += [f"--{name}={value}" if name != "push" else "--push"]
        else:
            raise ValueError(
                f"`docker buildx` is not given {name!r}; it takes buildargs, nocache, platform, pull, target."
            )
    return [*arguments, "--", str(context)]
