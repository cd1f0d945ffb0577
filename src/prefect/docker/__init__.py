"""Images for the runs of deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect.docker.docker_image import DockerImage

__getattr__, __dir__, _ = lazy_attributes(__name__, {"DockerImage": "prefect.docker.docker_image"})

__all__ = ["DockerImage"]
