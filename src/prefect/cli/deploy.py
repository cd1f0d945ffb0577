"""`prefect deploy`: make deployments of what a prefect.yaml and the options say."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _console, init

if TYPE_CHECKING:
    import yaml

    from prefect import exceptions
    from prefect._deploying import discovery, project, project_file, steps
    from prefect._deploying.project import Made, Options
    from prefect._deploying.project_file import ProjectFile
else:
    discovery = lazy_module("prefect._deploying.discovery")
    exceptions = lazy_module("prefect.exceptions")
    project = lazy_module("prefect._deploying.project")
    project_file = lazy_module("prefect._deploying.project_file")
    steps = lazy_module("prefect._deploying.steps")
    yaml = lazy_module("yaml")

app = App(name="deploy", help="Make deployments: of a flow, or of what a prefect.yaml describes.")
app.command(init.app)


@app.default
def deploy(
    entrypoint: Annotated[
        str | None, Parameter(name=["--entrypoint"], help="The flow: path/to/file.py:flow_function.")
    ] = None,
    *,
    name: Annotated[
        list[str] | None,
        Parameter(
            name=["--name", "-n"],
            help="The deployment's name; or which of prefect.yaml: names, flow/name, and patterns of them with `*`.",
        ),
    ] = None,
    description: Annotated[str | None, Parameter(name=["--description", "-d"], help="For people, as Markdown.")] = None,
    version_type: Annotated[str | None, Parameter(help="What the version is: vcs:git or prefect:simple.")] = None,
    version: Annotated[str | None, Parameter(help="The version of the code.")] = None,
    tag: Annotated[
        list[str] | None, Parameter(name=["--tag", "-t"], help="A tag of its runs; can be repeated.")
    ] = None,
    concurrency_limit: Annotated[int | None, Parameter(help="How many runs at once.")] = None,
    collision_strategy: Annotated[
        str | None, Parameter(help="What becomes of one more: ENQUEUE or CANCEL_NEW.")
    ] = None,
    pool: Annotated[str | None, Parameter(name=["--pool", "-p"], help="The work pool its runs run in.")] = None,
    work_queue: Annotated[str | None, Parameter(name=["--work-queue", "-q"], help="The queue of the pool.")] = None,
    job_variable: Annotated[
        list[str] | None,
        Parameter(help="Over a default of the pool's job template: key=value, or a JSON object with several."),
    ] = None,
    cron: Annotated[list[str] | None, Parameter(help="When to run, as a cron expression; can be repeated.")] = None,
    interval: Annotated[list[float] | None, Parameter(help="Seconds between runs; can be repeated.")] = None,
    anchor_date: Annotated[str | None, Parameter(help="From when intervals are counted, ISO 8601.")] = None,
    rrule: Annotated[list[str] | None, Parameter(help="When to run, as a rule of RFC 5545; can be repeated.")] = None,
    timezone: Annotated[str | None, Parameter(help="Of the schedules, such as Europe/Berlin.")] = None,
    trigger: Annotated[
        list[str] | None, Parameter(help="What else makes it run: JSON, or the path of a JSON or YAML file.")
    ] = None,
    param: Annotated[
        list[str] | None, Parameter(help="A parameter: key=value, value as JSON; can be repeated.")
    ] = None,
    params: Annotated[str | None, Parameter(help="Parameters, as a JSON object.")] = None,
    enforce_parameter_schema: Annotated[
        bool | None, Parameter(help="Refuse runs whose parameters do not fit the flow's annotations.")
    ] = None,
    all: Annotated[bool, Parameter(name=["--all"], negative=(), help="All deployments of the prefect.yaml.")] = False,
    prefect_file: Annotated[Path, Parameter(help="The file to read instead of prefect.yaml.")] = Path("prefect.yaml"),
    sla: Annotated[list[str] | None, Parameter(help="Service levels: JSON, or the path of a file.")] = None,
) -> None:
    """Make or change deployments.

    Without a flow or a name, the only deployment of the prefect.yaml is made.
    """
    if param and params:
        _console.fail("Give --param or --params, not both.")
    texts = dict(_pair(text, "--param") for text in param or ())
    options = project.Options(
        entrypoint=entrypoint,
        description=description,
        version_type=version_type,
        version=version,
        tags=tag or [],
        concurrency_limit=concurrency_limit,
        collision_strategy=collision_strategy,
        work_pool_name=pool,
        work_queue_name=work_queue,
        job_variables=_variables(job_variable or []),
        schedules=_schedules(cron or [], interval or [], rrule or [], anchor_date, timezone),
        triggers=[item for text in trigger or () for item in _document(text, "--trigger")],
        parameters={key: project.parse_value(text) for key, text in texts.items()} | _object(params, "--params"),
        parameter_texts=texts,
        job_variable_texts=_texts(job_variable or []),
        enforce_parameter_schema=enforce_parameter_schema,
        sla=[item for text in sla or () for item in _document(text, "--sla")],
    )
    try:
        file = project_file.read(prefect_file)
        if file is None and prefect_file != Path("prefect.yaml"):
            _console.fail(f"There is no file {prefect_file}.")
        _deploy_all(_chosen(file, options, name or [], all), file, options, prefect_file)
    except exceptions.ScriptError as error:
        _console.fail(
            f"The flow cannot be loaded: {error.path} raises {type(error.user_exc).__name__}: {error.user_exc}"
        )
    except (ValueError, RuntimeError, OSError) as error:
        _console.fail(str(error))


def _deploy_all(configs: list[dict[str, Any]], file: ProjectFile | None, options: Options, prefect_file: Path) -> None:
    made: list[Made] = []
    done: dict[str, dict[str, Any]] = {}
    for config in configs:
        if len(configs) > 1:
            _console.say(f"Deploying {config.get('name')}...")
        made.append(asyncio.run(_deploy(config, file, options, done)))
        _console.say(f"Deployment '{made[-1].name}' successfully created with id '{made[-1].id}'.")
    _offer_to_save(made, file, prefect_file)
    _say_next_steps(made)


async def _deploy(
    config: dict[str, Any], file: ProjectFile | None, options: Options, done: dict[str, dict[str, Any]]
) -> Made:
    try:
        return await project.make(config, file, _console.say, options, done)
    except steps.StepExecutionError as error:
        raise RuntimeError(str(error)) from error


# -- which ones -----------------------------------------------------------------------------------------------------


def _chosen(file: ProjectFile | None, options: Options, names: list[str], everything: bool) -> list[dict[str, Any]]:
    """The configurations to deploy, with what the options say over them."""
    known = file.named() if file is not None else []
    if everything and names:
        _console.fail("Give --all or --name, not both.")
    if not names and not everything and not options.entrypoint:
        if len(known) > 1:
            names = _ask_for_names(known)
        else:
            everything = True
    configs, unknown = project.choose(file, names, everything)
    if everything and not configs and not options.entrypoint:
        if not known and not _console.can_ask():
            _console.fail(
                "An entrypoint must be provided:\n\n    prefect deploy path/to/file.py:flow_function\n\n"
                "You can also provide an entrypoint in a prefect.yaml file."
            )
        configs = [_ask_for_flow(options)]
    if unknown and (configs or len(unknown) > 1 or not options.entrypoint):
        there = ", ".join(str(config["name"]) for config in known) or "none"
        _console.fail(
            f"There is no deployment {', '.join(map(repr, unknown))} in the prefect.yaml (there is: {there}). "
            "To make a new one, give its flow, too: `prefect deploy path/to/file.py:flow_function --name NAME`."
        )
    if not configs:
        new = {"name": unknown[0] if unknown else None, "entrypoint": options.entrypoint}
        configs = [new if new["name"] else _ask_for_name(new)]
    if len(configs) > 1 and (options.given() or options.entrypoint):
        _console.fail(
            f"{len(configs)} deployments are chosen, and {', '.join(options.given()) or 'the entrypoint'} can be for one "
            "only. Choose it by --name, or write what is to be into the prefect.yaml."
        )
    return [options.over(config) for config in configs]


def _ask_for_names(known: list[dict[str, Any]]) -> list[str]:
    listing = [f"{number:3}  {config['name']}" for number, config in enumerate(known, 1)]
    if not _console.can_ask():
        names = ", ".join(str(config["name"]) for config in known)
        _console.fail(f"The prefect.yaml has several deployments ({names}): choose with --name, or take --all.")
    _console.say(*listing)
    answers = input("Which ones (numbers, names or patterns; * for all)? ").replace(",", " ").split()
    chosen = [
        str(known[int(text) - 1]["name"]) if text.isdigit() and 0 < int(text) <= len(known) else text
        for text in answers
    ]
    return chosen or _console.fail("Nothing is chosen.")


def _ask_for_flow(options: Options) -> dict[str, Any]:
    found = discovery.find_flows(Path.cwd())
    if not found:
        _console.fail(f"No flows were found in {Path.cwd()}. Give one: `prefect deploy path/to/file.py:flow_function`.")
    _console.say(*(f"{number:3}  {place}" for number, place in enumerate(found, 1)))
    answer = input("Which flow (number, or path/to/file.py:flow_function)? ").strip()
    options.entrypoint = found[int(answer) - 1] if answer.isdigit() and 0 < int(answer) <= len(found) else answer
    return _ask_for_name({"name": None, "entrypoint": options.entrypoint})


def _ask_for_name(config: dict[str, Any]) -> dict[str, Any]:
    if not _console.can_ask():
        _console.fail("A deployment name must be provided: add `--name NAME`.")
    return {**config, "name": input("Deployment name [default]: ").strip() or "default"}


# -- afterwards -----------------------------------------------------------------------------------------------------


def _offer_to_save(made: list[Made], file: ProjectFile | None, path: Path) -> None:
    known = {config["name"]: config for config in file.named()} if file is not None else {}
    for deployment in made:
        new = {name: value for name, value in deployment.config.items() if value not in (None, [], {})}
        if known.get(new["name"]) == deployment.config or not _console.can_ask():
            continue
        if _console.confirm(f"Save this deployment to {path}, so that it can be made again by its name?"):
            project_file.save_deployment(path, new)
            _console.say(f"Saved to {path}.")


def _say_next_steps(made: list[Made]) -> None:
    pools = list(dict.fromkeys(deployment.work_pool_name for deployment in made))
    _console.say("", "A worker carries out the runs; to start one:", "")
    _console.say(*(f"    prefect worker start --pool '{pool}'" for pool in pools))
    _console.say("", f"To make a run of {'it' if len(made) == 1 else 'one of them'}:", "")
    _console.say(*(f"    prefect deployment run '{deployment.name}'" for deployment in made), "")


# -- options --------------------------------------------------------------------------------------------------------


def _pair(text: str, option: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        _console.fail(f"{option} is given as key=value, not as {text!r}.")
    return key, value


def _object(text: str | None, option: str) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        _console.fail(f"{option} is not JSON: {error}.")
    if not isinstance(value, dict):
        _console.fail(f"{option} must be a JSON object, not {text!r}.")
    return value


def _variables(texts: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        if text.lstrip().startswith("{"):
            found |= _object(text, "--job-variable")
        else:
            key, value = _pair(text, "--job-variable")
            found[key] = project.parse_value(value)
    return found


def _texts(texts: list[str]) -> dict[str, str]:
    """Job variables given as key=value, as they were typed."""
    return dict(_pair(text, "--job-variable") for text in texts if not text.lstrip().startswith("{"))


def _schedules(
    crons: list[str], intervals: list[float], rrules: list[str], anchor_date: str | None, timezone: str | None
) -> list[dict[str, Any]]:
    if sum(map(bool, (crons, intervals, rrules))) > 1:
        _console.fail("Only one kind of schedule can be given: --cron, --interval or --rrule.")
    if anchor_date and not intervals:
        _console.fail("--anchor-date is for --interval.")
    zone = {"timezone": timezone} if timezone else {}
    anchor = {"anchor_date": anchor_date} if anchor_date else {}
    given: list[dict[str, Any]] = [{"cron": cron, **zone} for cron in crons]
    given += [{"interval": interval, **anchor, **zone} for interval in intervals]
    given += [_rrule(text, zone) for text in rrules]
    if timezone and not given:
        _console.fail("--timezone is for --cron, --interval or --rrule.")
    return given


def _rrule(text: str, zone: dict[str, str]) -> dict[str, Any]:
    """A rule, given plainly or as JSON with its time zone."""
    if text.lstrip().startswith("{"):
        return {**_object(text, "--rrule"), **zone}
    return {"rrule": text, **zone}


def _document(text: str, option: str) -> list[dict[str, Any]]:
    """Objects given as JSON or in a file."""
    file = Path(text)
    is_file = text.endswith((".json", ".yaml", ".yml"))
    if is_file and not file.is_file():
        _console.fail(f"{option}: there is no file {text}.")
    try:
        value = yaml.safe_load(file.read_text(encoding="utf-8") if is_file else text)
    except yaml.YAMLError as error:
        _console.fail(f"{option} is neither JSON nor YAML: {error}")
    if isinstance(value, dict):
        value = value.get("triggers", value.get("sla", value))
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) for item in items):
        _console.fail(f"{option} must be an object, or a list of them; got {text!r}.")
    return items
