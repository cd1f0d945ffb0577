"""Images for containers: their names, building them, pushing them."""

from __future__ import annotations

from prefect._deploying.image_builder import ImageBuilder, to_run_command
from prefect._deploying.image_names import (
    format_outlier_version_name,
    generate_default_dockerfile,
    get_prefect_image_name,
    parse_image_tag,
    python_version_micro,
    python_version_minor,
    split_repository_path,
)
from prefect._deploying.images import (
    IMAGE_LABELS,
    BuildError,
    PushError,
    build_image,
    docker_client,
    push_image,
    silence_docker_warnings,
)

__all__ = [
    "IMAGE_LABELS",
    "BuildError",
    "ImageBuilder",
    "PushError",
    "build_image",
    "docker_client",
    "format_outlier_version_name",
    "generate_default_dockerfile",
    "get_prefect_image_name",
    "parse_image_tag",
    "push_image",
    "python_version_micro",
    "python_version_minor",
    "silence_docker_warnings",
    "split_repository_path",
    "to_run_command",
]
