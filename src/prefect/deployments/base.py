"""Beginning a project: a `prefect.yaml` and what goes with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect._deploying import recipes

__all__ = ["configure_project_by_recipe", "create_default_prefect_yaml", "initialize_project"]


def configure_project_by_recipe(recipe: str, **formatting_kwargs: Any) -> dict[str, Any]:
    """The sections of a `prefect.yaml`, by a recipe.

    Args:
        recipe: `local`, `git`, `docker`, `s3`, `docker-s3`, ...; `prefect init` lists them.
        **formatting_kwargs: what the recipe must be told, such as `image_name` and `tag`.

    Raises:
        ValueError: there is no such recipe, or it lacks something.
    """
    inputs = {name: str(value) for name, value in formatting_kwargs.items() if value is not None}
    return recipes.configure(recipe, inputs, Path.cwd())


def create_default_prefect_yaml(path: str, name: str | None = None, contents: dict[str, Any] | None = None) -> bool:
    """Write a `prefect.yaml` into a folder, unless there is one.

    Args:
        path: the folder.
        name: of the project.
        contents: its sections; for code that stays where it is, unless given.

    Returns:
        Whether it was written.
    """
    return recipes.write_file(Path(path), name, contents)


def initialize_project(
    name: str | None = None, recipe: str | None = None, inputs: dict[str, Any] | None = None
) -> list[str]:
    """Write the files of a project into the working directory: `prefect.yaml`, `.prefectignore`.

    Args:
        name: of the project; default the folder's.
        recipe: default `git` in a repository that has a remote, else `local`.
        inputs: what the recipe must be told.

    Returns:
        The names of the files that were written; those that are there are left alone.

    Raises:
        ValueError: there is no such recipe, or it lacks something.
    """
    return recipes.initialize(name, recipe, inputs)
