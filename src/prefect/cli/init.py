"""`prefect init`: begin a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _console

if TYPE_CHECKING:
    from prefect._deploying import recipes
else:
    recipes = lazy_module("prefect._deploying.recipes")

app = App(name="init", help="Begin a project: write a prefect.yaml, for `prefect deploy`.")


@app.default
def init(
    *,
    name: Annotated[str | None, Parameter(help="The project's name; default the folder's.")] = None,
    recipe: Annotated[
        str | None,
        Parameter(help="How code is kept and run: local, git, docker, s3, gcs, azure, docker-git, docker-s3, ..."),
    ] = None,
    field: Annotated[
        list[str] | None, Parameter(name=["--field", "-f"], help="What the recipe must be told, as name=value.")
    ] = None,
) -> None:
    """Write a prefect.yaml and a .prefectignore into this folder; files that are there are left alone."""
    inputs = _fields(field or [])
    if recipe is None and _console.can_ask():
        recipe = _ask_for_recipe()
    if recipe is not None and recipe not in recipes.RECIPES:
        _console.fail(f"Unknown recipe {recipe!r} provided; there are {', '.join(sorted(recipes.RECIPES))}.")
    if recipe is not None and _console.can_ask():
        for missing, what in recipes.RECIPES[recipe].inputs.items():
            if not inputs.get(missing):
                inputs[missing] = input(f"{missing} ({what}): ").strip()
    try:
        made = recipes.initialize(name, recipe, inputs)
    except ValueError as error:
        _console.fail(str(error))
    if made:
        _console.say(f"Created project in {Path.cwd()} with the following new files:", *made)
    else:
        _console.say(f"Nothing to do: {Path.cwd()} has a prefect.yaml and a .prefectignore already.")


def _fields(given: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name:
            _console.fail(f"--field is given as name=value, not as {item!r}.")
        fields[name] = value
    return fields


def _ask_for_recipe() -> str | None:
    names = sorted(recipes.RECIPES)
    for number, name in enumerate(names, 1):
        _console.say(f"{number:3}  {name:14} {recipes.RECIPES[name].summary}")
    answer = input("Recipe (number or name; nothing for what fits this folder): ").strip()
    if answer.isdigit() and 0 < int(answer) <= len(names):
        return names[int(answer) - 1]
    return answer or None
