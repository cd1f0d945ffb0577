"""What `prefect init` writes: a `prefect.yaml` for one of the usual ways to keep code and to run it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prefect
from prefect._lazy import lazy_module
from prefect._storage.credentials import without_login

if TYPE_CHECKING:
    import yaml

    from prefect.utilities import filesystem
else:
    filesystem = lazy_module("prefect.utilities.filesystem")
    yaml = lazy_module("yaml")

FILE = "prefect.yaml"


@dataclass(frozen=True)
class Recipe:
    """A way to keep code and to run it."""

    summary: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What must be told, and what it is."""
    docker: bool = False
    """Whether runs are run in an image that is built."""
    store: str | None = None
    """Where the code is kept, if it is not where the deployment is made: git, s3, gcs or azure."""


_IMAGE = {"image_name": "the image's name, with its registry", "tag": "the image's tag"}
_BUCKET = {"bucket": "the bucket that code is put in"}
_CONTAINER = {"container": "the container that code is put in"}

RECIPES: dict[str, Recipe] = {
    "azure": Recipe("code is put into Azure Blob Storage", _CONTAINER, store="azure"),
    "docker": Recipe("code is put into an image", _IMAGE, docker=True),
    "docker-azure": Recipe(
        "an image, with code from Azure Blob Storage", _IMAGE | _CONTAINER, docker=True, store="azure"
    ),
    "docker-gcs": Recipe("an image, with code from Google Cloud Storage", _IMAGE | _BUCKET, docker=True, store="gcs"),
    "docker-git": Recipe("an image, with code cloned from git", _IMAGE, docker=True, store="git"),
    "docker-s3": Recipe("an image, with code from S3", _IMAGE | _BUCKET, docker=True, store="s3"),
    "gcs": Recipe("code is put into Google Cloud Storage", _BUCKET, store="gcs"),
    "git": Recipe("code is cloned from git", store="git"),
    "local": Recipe("code stays where it is on this machine"),
    "s3": Recipe("code is put into S3", _BUCKET, store="s3"),
}

# the steps of each store: package, push step, pull step, what they are given beside the folder
_STORES = {
    "s3": ("prefect-aws>=0.3.4", "prefect_aws.deployments.steps", "push_to_s3", "pull_from_s3", "bucket"),
    "gcs": ("prefect-gcp>=0.4.3", "prefect_gcp.deployments.steps", "push_to_gcs", "pull_from_gcs", "bucket"),
    "azure": (
        "prefect-azure[blob_storage]>=0.2.8", "prefect_azure.deployments.steps", "push_to_azure_blob_storage",
        "pull_from_azure_blob_storage", "container",
    ),
}  # fmt: skip
_DOCKER_STEPS, _DOCKER_PACKAGE = "prefect_docker.deployments.steps", "prefect-docker>=0.3.1"

_SECTIONS = {
    "name": "What this project is called, and the version that this file was written with.",
    "build": "Steps that `prefect deploy` runs first, for example to build an image.",
    "push": "Steps that it runs next, for example to put code where workers find it.",
    "pull": "Steps that fetch the code where a flow is to run; each run begins with them.",
    "deployments": "The deployments. Their placeholders are filled in from the outputs of the steps above, the\n"
    "# environment ({{ $NAME }}), variables ({{ prefect.variables.name }}) and blocks.",
}


class UnknownRecipe(ValueError):
    """There is no recipe of that name."""


class MissingInput(ValueError):
    """A recipe lacks something that must be told."""


def configure(recipe: str, inputs: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """The sections of a `prefect.yaml`.

    Args:
        recipe: one of `RECIPES`.
        inputs: what the recipe must be told.
        folder: of the project.

    Raises:
        UnknownRecipe: there is no such recipe.
        MissingInput: the recipe lacks an input.
    """
    if recipe not in RECIPES:
        raise UnknownRecipe(f"Unknown recipe {recipe!r} provided; there are {', '.join(sorted(RECIPES))}.")
    chosen = RECIPES[recipe]
    missing = [name for name in chosen.inputs if not inputs.get(name)]
    if missing:
        options = " ".join(f"--field {name}=..." for name in missing)
        told = "; ".join(f"{name}: {chosen.inputs[name]}" for name in missing)
        raise MissingInput(f"The recipe {recipe!r} needs {', '.join(missing)} ({told}): add `{options}`.")
    directory = folder.resolve().name
    build, push = _docker_steps(inputs) if chosen.docker else ([], [])
    pull: list[dict[str, Any]]
    if chosen.store == "git":
        pull = [{"prefect.deployments.steps.git_clone": _git_inputs(inputs, folder)}]
    elif chosen.store is not None:
        step, pull = _store_steps(chosen.store, inputs, directory)
        push = [*push, step]
    else:
        place = f"/opt/prefect/{directory}" if chosen.docker else str(folder.resolve())
        pull = [{"prefect.deployments.steps.set_working_directory": {"directory": place}}]
    job_variables = {"image": "{{ build_image.image }}"} if chosen.docker else {}
    return {
        "build": build or None,
        "push": push or None,
        "pull": pull,
        "deployments": [empty_deployment(job_variables)],
    }


def empty_deployment(job_variables: dict[str, Any] | None = None) -> dict[str, Any]:
    """A deployment with nothing filled in yet."""
    return {
        "name": None,
        "version": None,
        "tags": [],
        "description": None,
        "schedules": [],
        "entrypoint": None,
        "parameters": {},
        "work_pool": {"name": None, "work_queue_name": None, "job_variables": job_variables or {}},
    }


def _docker_steps(inputs: Mapping[str, str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    build = {
        "id": "build_image", "requires": _DOCKER_PACKAGE, "image_name": inputs["image_name"], "tag": inputs["tag"],
        "dockerfile": inputs.get("dockerfile") or "auto",
    }  # fmt: skip
    push = {
        "requires": _DOCKER_PACKAGE, "image_name": "{{ build_image.image_name }}", "tag": "{{ build_image.tag }}",
    }  # fmt: skip
    return [{f"{_DOCKER_STEPS}.build_docker_image": build}], [{f"{_DOCKER_STEPS}.push_docker_image": push}]


def _store_steps(store: str, inputs: Mapping[str, str], directory: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    package, module, push, pull, place = _STORES[store]
    put = {"id": "push_code", "requires": package, place: inputs[place], "folder": inputs.get("folder") or directory}
    got = {
        "id": "pull_code", "requires": package, place: f"{{{{ push_code.{place} }}}}", "folder": "{{ push_code.folder }}",
    }  # fmt: skip
    return {f"{module}.{push}": put}, [{f"{module}.{pull}": got}]


def _git_inputs(inputs: Mapping[str, str], folder: Path) -> dict[str, Any]:
    url = inputs.get("repository") or _git(folder, "config", "--get", "remote.origin.url")
    branch = inputs.get("branch") or _git(folder, "rev-parse", "--abbrev-ref", "HEAD")
    if not url:
        raise MissingInput(
            f"There is no git repository with a remote in {folder}: tell the address, `--field repository=...`."
        )
    found: dict[str, Any] = {"repository": without_login(url), "branch": None if branch == "HEAD" else branch}
    if inputs.get("access_token"):
        found["access_token"] = inputs["access_token"]
    if inputs.get("credentials"):
        found["credentials"] = inputs["credentials"]
    return found


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


# ── writing ──


def file_text(name: str | None, contents: Mapping[str, Any]) -> str:
    """The text of a `prefect.yaml`."""
    head = f"# {_SECTIONS['name']}\nname: {_scalar(name)}\nprefect-version: {_scalar(prefect.__version__)}\n"
    parts = [head]
    for section in ("build", "push", "pull", "deployments"):
        text = yaml.safe_dump({section: contents.get(section)}, sort_keys=False, allow_unicode=True)
        parts.append(f"# {_SECTIONS[section]}\n{text}")
    return "\n".join(parts)


def _scalar(value: str | None) -> str:
    return yaml.safe_dump(value, allow_unicode=True).removesuffix("...\n").strip()


def write_file(path: Path, name: str | None, contents: Mapping[str, Any] | None) -> bool:
    """Write a `prefect.yaml` into a folder, unless there is one; returns whether it was written."""
    file = path / FILE if path.is_dir() else path
    try:
        with file.open("x", encoding="utf-8") as text:
            text.write(file_text(name, contents if contents is not None else configure("local", {}, path)))
    except FileExistsError:
        return False
    return True


def initialize(
    name: str | None = None,
    recipe: str | None = None,
    inputs: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> list[str]:
    """Write the files of a project that are not there yet; returns their names.

    Args:
        name: of the project; default the folder's.
        recipe: one of `RECIPES`; default `git` in a repository that has a remote, else `local`.
        inputs: what the recipe must be told.
        folder: of the project; the working directory unless given.

    Raises:
        UnknownRecipe, MissingInput: as `configure`.
    """
    folder = folder or Path.cwd()
    if recipe is None:
        recipe = "git" if _git(folder, "config", "--get", "remote.origin.url") else "local"
    contents = configure(recipe, inputs or {}, folder)
    made = []
    if filesystem.create_default_ignore_file(folder):
        made.append(".prefectignore")
    if write_file(folder, name or folder.resolve().name, contents):
        made.append(FILE)
    return made
