"""Deploying what a `prefect.yaml` and a command line say."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._deploying import loading, schedules, triggers
from prefect._deploying.project_file import ProjectFile
from prefect._deploying.references import Resolve, Values, client_or_new, environment_variable, fill_in
from prefect._deploying.runner_deployment import RunnerDeployment
from prefect._deploying.steps import run_steps
from prefect._lazy import lazy_module
from prefect._schemas.actions.deployments import DeploymentUpdate
from prefect._schemas.concurrency import ConcurrencyLimitConfig
from prefect._schemas.json_schema import mismatches
from prefect._schemas.work_pools import WorkPool
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.utilities.annotations import NotSet

if TYPE_CHECKING:
    import pydantic

    from prefect.utilities import templating
else:
    pydantic = lazy_module("pydantic")
    templating = lazy_module("prefect.utilities.templating")

_STEPS = ("build", "push", "pull")


class DeployError(ValueError):
    """A deployment cannot be made from what is said about it."""


@dataclass
class Options:
    """What the command line says of a deployment; None and empty for what it does not."""

    entrypoint: str | None = None
    description: str | None = None
    version_type: str | None = None
    version: str | None = None
    tags: list[str] = field(default_factory=list)
    concurrency_limit: int | None = None
    collision_strategy: str | None = None
    work_pool_name: str | None = None
    work_queue_name: str | None = None
    job_variables: dict[str, Any] = field(default_factory=dict)
    schedules: list[dict[str, Any]] = field(default_factory=list)
    triggers: list[dict[str, Any]] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    parameter_texts: dict[str, str] = field(default_factory=dict)
    job_variable_texts: dict[str, str] = field(default_factory=dict)
    """What was typed for them; what it means depends on what the flow, or the work pool, wants."""
    enforce_parameter_schema: bool | None = None
    sla: list[dict[str, Any]] = field(default_factory=list)

    def given(self) -> list[str]:
        """The names of what is said, but for the entrypoint."""
        skip = {"entrypoint", "parameter_texts", "job_variable_texts"}
        return [name for name, value in vars(self).items() if name not in skip and value not in (None, [], {})]

    def over(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A deployment's configuration with what is said here over it."""
        merged = deepcopy(dict(config))
        plain = ("entrypoint", "description", "version_type", "version", "enforce_parameter_schema")
        merged |= {name: value for name in plain if (value := getattr(self, name)) is not None}
        merged |= {name: value for name in ("tags", "triggers", "sla") if (value := getattr(self, name))}
        if self.schedules:
            merged.pop("schedule", None)
            merged["schedules"] = self.schedules
        if self.parameters:
            merged["parameters"] = {**(merged.get("parameters") or {}), **self.parameters}
        if self.concurrency_limit is not None or self.collision_strategy is not None:
            merged["concurrency_limit"] = self._limit(merged.get("concurrency_limit"))
        pool = dict(merged.get("work_pool") or {}) if isinstance(merged.get("work_pool"), Mapping) else {}
        names = {"name": self.work_pool_name, "work_queue_name": self.work_queue_name}
        pool |= {name: value for name, value in names.items() if value is not None}
        if self.job_variables:
            pool["job_variables"] = {**(pool.get("job_variables") or {}), **self.job_variables}
        if pool:
            merged["work_pool"] = pool
        return merged

    def _limit(self, known: Any) -> Any:
        limit = dict(known) if isinstance(known, Mapping) else {"limit": known}
        if self.concurrency_limit is not None:
            limit["limit"] = self.concurrency_limit
        if self.collision_strategy is not None:
            limit["collision_strategy"] = self.collision_strategy
        if limit["limit"] is None:
            raise DeployError("--collision-strategy needs a --concurrency-limit.")
        return limit["limit"] if set(limit) == {"limit"} else limit


# ── choosing ──


def choose(file: ProjectFile | None, names: Sequence[str], everything: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """The deployments of a file that are asked for.

    Args:
        file: what the file says.
        names: names of deployments, `flow/deployment`, or patterns of either with `*`.
        everything: all of them.

    Returns:
        the deployments, and the names for which there are none.
    """
    known = file.named() if file is not None else []
    if everything:
        return known, []
    chosen: list[dict[str, Any]] = []
    unknown: list[str] = []
    for name in names:
        found = [config for config in known if _is_called(config, name)]
        if not found:
            unknown.append(name)
        chosen += [config for config in found if config not in chosen]
    return chosen, unknown


def _is_called(config: Mapping[str, Any], pattern: str) -> bool:
    name = str(config["name"])
    if "/" not in pattern:
        return fnmatch.fnmatchcase(name, pattern)
    flow_pattern, _, name_pattern = pattern.partition("/")
    if not fnmatch.fnmatchcase(name, name_pattern):
        return False
    return any(fnmatch.fnmatchcase(flow_name, flow_pattern) for flow_name in _flow_names(config))


def _flow_names(config: Mapping[str, Any]) -> list[str]:
    entrypoint = config.get("entrypoint") or ""
    names = [str(config["flow_name"])] if config.get("flow_name") else []
    function = entrypoint.rpartition(":")[2].rpartition(".")[2]
    names += [function, function.replace("_", "-")]
    try:
        names.append(loading.name_at(entrypoint))
    except (ValueError, OSError, ImportError):  # said when it is deployed
        pass
    return names


# ── making ──


@dataclass
class Made:
    """A deployment that was made."""

    id: UUID
    name: str
    work_pool_name: str
    config: dict[str, Any]
    """Its configuration, as it can be saved."""


async def make(
    config: Mapping[str, Any],
    file: ProjectFile | None,
    say: Callable[[str], object],
    options: Options,
    done: dict[str, dict[str, Any]],
) -> Made:
    """Make a deployment: run its build and push steps, and make it known.

    Args:
        config: as it stands in a file, with what the command line says over it.
        file: the steps of the project.
        say: told of the progress.
        options: what the command line says.
        done: the outputs of the build and push steps that ran already, for the next deployment that has the same: an image
            for five deployments is built once.

    Raises:
        DeployError: something lacks, or does not fit.
        StepExecutionError: a step failed.
        DeploymentApplyError: the API refuses.
    """
    steps = {kind: config.get(kind) or (getattr(file, kind) if file is not None else None) for kind in _STEPS}
    known = await _filled({name: value for name, value in config.items() if name not in _STEPS}, {}, final=False)
    waits = any(place.type is templating.PlaceholderType.STANDARD for place in templating.find_placeholders(known))
    _check_named(known)
    pool = await _read_pool(_pool(known)["name"])
    # what can be said without running the steps is said before they are run
    deployment = None if waits else _described(known, options, pool)
    outputs = await _build(steps, say, done)
    if deployment is None:
        deployment = _described(await _filled(known, outputs, final=True), options, pool)
    deployment.storage = PullSteps(await _pull_steps(steps, outputs, say, deployment.entrypoint))
    id = await deployment.aapply()
    return Made(id, deployment.full_name, pool.name, _as_saved(config, deployment, options))


def _as_saved(config: Mapping[str, Any], deployment: RunnerDeployment, options: Options) -> dict[str, Any]:
    saved = deepcopy({**config, "name": deployment.name})
    for name in options.parameter_texts:
        saved["parameters"][name] = deployment.parameters[name]
    for name in options.job_variable_texts:
        saved["work_pool"]["job_variables"][name] = deployment.job_variables[name]
    return saved


async def _build(
    steps: Mapping[str, Any], say: Callable[[str], object], done: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Run the build and push steps, unless the same ones ran already; returns their outputs."""
    key = json.dumps([steps["build"], steps["push"]], default=str, sort_keys=True)
    if key not in done:
        outputs: dict[str, Any] = {}
        for kind in ("build", "push"):
            if steps[kind]:
                say(f"Running deployment {kind} steps...")
                outputs = await run_steps(steps[kind], outputs, print_function=say)
        done[key] = outputs
    return done[key]


async def _filled(config: dict[str, Any], outputs: Mapping[str, Any], *, final: bool) -> dict[str, Any]:
    """A configuration with its placeholders filled in; those for outputs only in the end, when the steps have run."""

    async def output(path: str) -> Any:
        value = templating.apply_values(f"{{{{ {path} }}}}", outputs)
        if value is NotSet:
            raise DeployError(
                f"Nothing is known of {{{{ {path} }}}}: no build or push step has an output or an id of that name "
                f"(there is: {', '.join(sorted(map(str, outputs))) or 'none'})."
            )
        return value

    kinds = templating.PlaceholderType
    if final:
        triggers_apart = {key: value for key, value in config.items() if key != "triggers"}
        filled = await fill_in(triggers_apart, {kinds.STANDARD: output})
        return filled | {"triggers": await _known_outputs(config.get("triggers"), outputs)}
    value_of: dict[Any, Resolve] = {kinds.ENV_VAR: environment_variable}
    if not {place.type for place in templating.find_placeholders(config)} & {kinds.VARIABLE, kinds.BLOCK_DOCUMENT}:
        return await fill_in(config, value_of)
    async with client_or_new(None) as client:
        values = Values(client, strict=True)

        async def named(name: str) -> str:
            await values.block(name)  # it is there
            return f"{{{{ {name} }}}}"

        value_of |= {kinds.VARIABLE: values.variable}
        filled = await fill_in(config, value_of | {kinds.BLOCK_DOCUMENT: values.block})
        if isinstance(config.get("work_pool"), Mapping):
            # a secret in a job variable is looked up by the worker; here it would be kept with the deployment, to be read
            filled["work_pool"] = await fill_in(config["work_pool"], value_of | {kinds.BLOCK_DOCUMENT: named})
        return filled


async def _known_outputs(template: Any, outputs: Mapping[str, Any]) -> Any:
    """Fill in the outputs that there are. Other placeholders are for later: outputs of pull steps, fields of events."""

    async def output(path: str) -> Any:
        placeholder = f"{{{{ {path} }}}}"
        value = templating.apply_values(placeholder, outputs)
        return placeholder if value is NotSet else value

    return await fill_in(template, {templating.PlaceholderType.STANDARD: output})


def _check_named(config: Mapping[str, Any]) -> None:
    if not config.get("entrypoint"):
        raise DeployError(
            "An entrypoint must be provided:\n\n    prefect deploy path/to/file.py:flow_function\n\n"
            "You can also provide an entrypoint in a prefect.yaml file."
        )
    if not config.get("name"):
        raise DeployError("A deployment name must be provided: add `--name NAME`.")


def _described(config: Mapping[str, Any], options: Options, work_pool: WorkPool) -> RunnerDeployment:
    """The deployment that a configuration describes.

    Raises:
        DeployError: it does not fit the flow or the work pool.
    """
    name = config["name"]
    pool = _pool(config)
    try:
        deployment = RunnerDeployment.from_entrypoint(
            config["entrypoint"],
            name=str(name),
            schedules=_schedules(config),
            concurrency_limit=_limit(config.get("concurrency_limit")),
            paused=config.get("paused"),
            parameters=dict(config.get("parameters") or {}),
            triggers=triggers.normalized(config.get("triggers")),
            description=config.get("description"),
            tags=[str(tag) for tag in config.get("tags") or ()],
            version=None if config.get("version") is None else str(config["version"]),
            enforce_parameter_schema=config.get("enforce_parameter_schema") is not False,
            work_pool_name=pool["name"],
            work_queue_name=pool.get("work_queue_name"),
            job_variables=pool.get("job_variables") or {},
            _sla=config.get("sla") or None,
        )
    except pydantic.ValidationError as error:
        problems = "; ".join(
            ": ".join([*map(str, one["loc"]), one["msg"].removeprefix("Value error, ")]) for one in error.errors()
        )
        raise DeployError(f"Deployment {name!r}: {problems}") from error
    deployment.version_type = config.get("version_type")
    _take_texts(deployment, options, work_pool)
    deployment.validate_deployment_parameters()
    try:
        wanted = DeploymentUpdate(job_variables=deployment.job_variables)
        wanted.check_valid_configuration(_without_required(work_pool.base_job_template))
    except ValueError as error:
        raise DeployError(f"Deployment {name!r}, work pool {work_pool.name!r}: {error}") from error
    return deployment


def _without_required(template: dict[str, Any]) -> dict[str, Any]:
    """A job template that requires nothing: what a deployment does not give may be given with each run."""
    variables = template.get("variables") or {}
    return {**template, "variables": {name: part for name, part in variables.items() if name != "required"}}


def _pool(config: Mapping[str, Any]) -> dict[str, Any]:
    given = config.get("work_pool") or {}
    pool: dict[str, Any] = {"name": given} if isinstance(given, str) else dict(given)
    pool["name"] = pool.get("name") or get_current_settings().deployments.default_work_pool_name
    return pool


def _take_texts(deployment: RunnerDeployment, options: Options, work_pool: WorkPool) -> None:
    """Read what was typed on the command line as what is wanted there."""
    schema = deployment._parameter_openapi_schema or {}
    for name, text in options.parameter_texts.items():
        deployment.parameters[name] = _fitting([parse_value(text), text], schema, name)
    variables = work_pool.base_job_template.get("variables") or {}
    for name, text in options.job_variable_texts.items():
        # these are text, `--job-variable image=1.20`, unless something else is wanted or it looks like that
        values = [text, parse_value(text)]
        deployment.job_variables[name] = _fitting(values[::-1] if text[:1] in ("{", "[") else values, variables, name)


def _fitting(candidates: list[Any], schema: Mapping[str, Any], name: str) -> Any:
    """The first of the values that fits a property of a schema, or else the first."""
    wanted = schema.get("properties", {}).get(name, {})
    return next((value for value in candidates if not any(mismatches(value, wanted, schema))), candidates[0])


def _schedules(config: Mapping[str, Any]) -> list[Any] | None:
    one, several = config.get("schedule"), config.get("schedules")
    if one and several:
        raise DeployError(f"Deployment {config.get('name')!r} has both `schedule` and `schedules`; give one of them.")
    given = several or ([one] if one else [])
    return schedules.normalized(
        {name: value for name, value in each.items() if value is not None} if isinstance(each, Mapping) else each
        for each in given
    )


def _limit(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    known = {name: value for name, value in given.items() if value is not None}
    return ConcurrencyLimitConfig.model_validate(known)


async def _read_pool(name: str | None) -> WorkPool:
    if not name:
        raise DeployError(
            "A work pool is required to deploy this flow. Please specify a work pool name via the '--pool' flag or in "
            "your prefect.yaml file."
        )
    async with client_or_new(None) as client:
        try:
            return await client.read_work_pool(name)
        except ObjectNotFound as error:
            raise DeployError(
                f"This deployment configuration references work pool {name!r} which does not exist. "
                f"Create it first: `prefect work-pool create {name} --type process`; `prefect work-pool ls` lists them."
            ) from error


async def _pull_steps(
    steps: Mapping[str, Any], outputs: Mapping[str, Any], say: Callable[[str], object], entrypoint: str | None
) -> list[dict[str, Any]]:
    """The pull steps, with the outputs of the other steps; the rest is filled in where the flow runs."""
    if steps["pull"]:
        return await _known_outputs(steps["pull"], outputs)
    built = any("build_docker_image" in name for step in steps["build"] or () for name in step)
    folder = f"/opt/prefect/{Path.cwd().name}" if built else str(Path.cwd().resolve())
    if not built and entrypoint and ":" in entrypoint:
        say(
            f"Workers will load the flow from {folder}/{entrypoint.rpartition(':')[0]} of their machine; "
            "`prefect init` has other ways to bring them the code."
        )
    return [{"prefect.deployments.steps.set_working_directory": {"directory": folder}}]


class PullSteps:
    """Storage that is a list of pull steps."""

    pull_interval = None

    def __init__(self, steps: list[dict[str, Any]]) -> None:
        self._steps = steps
        self.destination = Path.cwd()

    def set_base_path(self, path: Path) -> None:
        """Changes nothing: the steps say where they fetch to."""

    async def pull_code(self) -> None:
        """Fetch the code."""
        await run_steps(self._steps)

    def to_pull_step(self) -> list[dict[str, Any]]:
        """The steps."""
        return self._steps


def parse_value(text: str) -> Any:
    """What a text on a command line means: JSON, or else itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
