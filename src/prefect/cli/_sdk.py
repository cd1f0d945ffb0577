"""Writing a Python module with a typed class for each deployment, from the schemas that deployments keep.

Everything that comes from the API gets into the module as a literal (`repr`) or as a checked identifier: names and
descriptions are data, whatever they contain.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_FORMATS = {
    "date-time": "datetime | str", "date": "date | str", "time": "time | str", "duration": "timedelta | str",
    "uuid": "UUID | str", "binary": "bytes",
}  # fmt: skip
_MAX_DEPTH = 12

_HEAD = '''\
# ruff: noqa
from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar, Literal, Required, Self, TypedDict, Unpack, overload
from uuid import UUID

from prefect.deployments import arun_deployment, run_deployment
from prefect.futures import PrefectFlowRunFuture

__all__ = ["deployments"]


class DeploymentRunner:
    """Makes runs of one deployment, for a worker to carry out."""

    deployment_name: ClassVar[str]

    def __init__(self, **options: Any) -> None:
        self._options = options

    def _with(self, **changes: Any) -> Self:
        return type(self)(**{**self._options, **changes})

    def with_options(self, **options: Unpack[RunOptions]) -> Self:
        """The same deployment, its runs with other tags, another name, at another time."""
        return self._with(**options)

    def _run(self, parameters: Any) -> PrefectFlowRunFuture[Any]:
        options = {"timeout": 0, **self._options}
        run: Any = run_deployment(self.deployment_name, parameters=parameters, **options)
        return PrefectFlowRunFuture(flow_run_id=run.id)

    async def _run_async(self, parameters: Any) -> PrefectFlowRunFuture[Any]:
        options = {"timeout": 0, **self._options}
        run: Any = await arun_deployment(self.deployment_name, parameters=parameters, **options)
        return PrefectFlowRunFuture(flow_run_id=run.id)


class RunOptions(TypedDict, total=False):
    """What a run has beside its parameters."""

    tags: Iterable[str]
    flow_run_name: str
    scheduled_time: datetime
    idempotency_key: str
    work_queue_name: str
    as_subflow: bool
    timeout: float
    poll_interval: float

'''


@dataclass(frozen=True)
class Described:
    """A deployment, as far as its runs are concerned.

    Attributes:
        name: `flow/deployment`.
        description: for people.
        parameters: JSON schema of the parameters.
        defaults: names of the parameters that the deployment gives a value.
        job_variables: JSON schema of the variables of its work pool; None without one.
    """

    name: str
    description: str | None
    parameters: Mapping[str, Any]
    defaults: frozenset[str]
    job_variables: Mapping[str, Any] | None = None


@dataclass
class _Module:
    """A module that is being written."""

    taken: set[str] = field(default_factory=lambda: {"DeploymentRunner", "RunOptions", "Deployments", "Any"})
    pieces: list[str] = field(default_factory=list)

    def name(self, *words: str) -> str:
        """A class name made of words that is not taken."""
        parts = [part for word in words for part in re.split(r"[^0-9A-Za-z]+", word) if part]
        bare = "".join(part[0].upper() + part[1:] for part in parts if part.isascii()) or "Deployment"
        bare = f"_{bare}" if bare[0].isdigit() else bare
        name, number = bare, 2
        while name in self.taken or keyword.iskeyword(name):
            name, number = f"{bare}{number}", number + 1
        self.taken.add(name)
        return name


def module_text(deployments: Iterable[Described], origin: str) -> str:
    """The text of the module.

    Args:
        deployments: what it is about.
        origin: where the deployments were found, for its first line.
    """
    module = _Module()
    classes = [(one.name, _deployment_class(module, one)) for one in deployments]
    text = "\n\n\n".join([_docstring(f"Typed runs of the deployments of {origin}, made by `prefect sdk generate`.", 0)
                        + "\n" + _HEAD.rstrip("\n"), *module.pieces, _catalogue(classes)]) + "\n"  # fmt: skip
    compile(text, "<sdk>", "exec", dont_inherit=True)  # a mistake of ours is found here, not by those who import it
    return text


def _deployment_class(module: _Module, one: Described) -> str:
    flow_name, _, name = one.name.rpartition("/")
    class_name = module.name(flow_name, name)
    parameters = _parameter_class(module, class_name, one)
    lines = [f"class {class_name}(DeploymentRunner):", _docstring(_about(one), 4), ""]
    lines += [f"    deployment_name: ClassVar[str] = {one.name!r}", ""]
    if one.job_variables and one.job_variables.get("properties"):
        infra = _typed_dict(
            module, module.name(class_name, "JobVariables"), one.job_variables, set(), one.job_variables
        )
        lines += [
            f"    def with_infra(self, **job_variables: Unpack[{infra}]) -> Self:",
            '        """The same deployment, its runs with other job variables."""',
            "        before = self._options.get('job_variables') or {}",
            "        return self._with(job_variables={**before, **job_variables})",
            "",
        ]
    for prefix, method, call in (("", "run", "self._run"), ("async ", "run_async", "await self._run_async")):
        signature = f"self, **parameters: Unpack[{parameters}]" if parameters else "self"
        given = "parameters" if parameters else "{}"
        lines += [
            f"    {prefix}def {method}({signature}) -> PrefectFlowRunFuture[Any]:",
            '        """Make a run; the future says when it has ended."""',
            f"        return {call}({given})",
            "",
        ]
    module.pieces.append("\n".join(lines).rstrip())
    return class_name


def _about(one: Described) -> str:
    return f"`{one.name}`" + (f": {' '.join(one.description.split())}" if one.description else "")


def _parameter_class(module: _Module, class_name: str, one: Described) -> str | None:
    if not one.parameters.get("properties"):
        return None
    required = set(one.parameters.get("required", ())) - one.defaults
    return _typed_dict(module, module.name(class_name, "Parameters"), one.parameters, required, one.parameters)


def _typed_dict(
    module: _Module,
    name: str,
    schema: Mapping[str, Any],
    required: set[str],
    root: Mapping[str, Any],
    made: dict[str, str] | None = None,
) -> str:
    """Write a `TypedDict` for an object, and those for the objects in it before it; returns its name.

    Args:
        module: where it is written.
        name: of the class.
        schema: of the object.
        required: the fields that must be given.
        root: the schema in which references are looked up.
        made: the classes written for references so far.
    """
    known: dict[str, str] = {} if made is None else made

    def nested(reference: str, definition: Mapping[str, Any]) -> str:
        if reference not in known:
            known[reference] = module.name(
                name.removesuffix("Parameters"), reference
            )  # before its fields: it may refer to itself
            _typed_dict(module, known[reference], definition, set(definition.get("required", ())), root, known)
        return known[reference]

    fields = {
        key: (_annotation(about, root, nested, 0), " ".join(str(about.get("description") or "").split()))
        for key, about in schema.get("properties", {}).items()
        if isinstance(about, Mapping)
    }
    module.pieces.append(_typed_dict_text(name, fields, required))
    return name


def _typed_dict_text(name: str, fields: Mapping[str, tuple[str, str]], required: set[str]) -> str:
    def kind(key: str) -> str:
        return f"Required[{fields[key][0]}]" if key in required else fields[key][0]

    if not all(key.isidentifier() and not keyword.iskeyword(key) for key in fields):
        # names that are no identifiers can only be written this way
        inner = ", ".join(f"{key!r}: {kind(key)!r}" for key in fields)
        return f"{name} = TypedDict({name!r}, {{{inner}}}, total=False)"
    lines = [f"class {name}(TypedDict, total=False):"]
    for key, (_, description) in fields.items():
        lines.append(f"    {key}: {kind(key)}")
        if description:
            lines.append(_docstring(description, 4))
    return "\n".join(lines if fields else [*lines, "    pass"])


def _annotation(
    schema: Mapping[str, Any], root: Mapping[str, Any], nested: Callable[[str, Mapping[str, Any]], str], depth: int
) -> str:
    """The annotation for values that fit a JSON schema; `Any` where none says it."""

    def inner(part: Any) -> str:
        return _annotation(part, root, nested, depth + 1) if isinstance(part, Mapping) else "Any"

    if depth > _MAX_DEPTH:
        return "Any"
    if "$ref" in schema:
        return _referred(str(schema["$ref"]), root, nested, inner)
    if "const" in schema:
        return _literal([schema["const"]])
    if "enum" in schema:
        return _literal(schema["enum"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _union(inner(part) for part in schema[several])
    if len(schema.get("allOf", ())) == 1:
        return inner(schema["allOf"][0])
    kind = schema.get("type")
    if isinstance(kind, list):
        return _union(inner({**schema, "type": one}) for one in kind)
    if kind == "array":
        if "prefixItems" in schema:
            return f"tuple[{', '.join(inner(part) for part in schema['prefixItems']) or '()'}]"
        return f"{'set' if schema.get('uniqueItems') else 'list'}[{inner(schema.get('items', True))}]"
    if kind == "object":
        return f"dict[str, {inner(schema.get('additionalProperties', True))}]"
    if kind == "string":
        return _FORMATS.get(str(schema.get("format")), "str")
    return _SIMPLE.get(str(kind), "Any")


def _referred(
    reference: str,
    root: Mapping[str, Any],
    nested: Callable[[str, Mapping[str, Any]], str],
    inner: Callable[[Any], str],
) -> str:
    """The annotation for `#/definitions/Name`."""
    if not reference.startswith("#/"):
        return "Any"
    target: Any = root
    for part in reference[2:].split("/"):
        target = target.get(part) if isinstance(target, Mapping) else None
    if not isinstance(target, Mapping):
        return "Any"
    if target.get("type") == "object" and target.get("properties"):
        return nested(reference.rpartition("/")[2], target)
    return inner(target)


def _literal(values: Iterable[Any]) -> str:
    listed = [value for value in values if isinstance(value, (str, int, bool)) or value is None]
    return f"Literal[{', '.join(dict.fromkeys(map(repr, listed)))}]" if listed else "Any"


def _union(parts: Iterable[str]) -> str:
    kinds = list(dict.fromkeys(parts))
    return "Any" if "Any" in kinds or not kinds else " | ".join(kinds)


def _catalogue(classes: list[tuple[str, str]]) -> str:
    lines = ["class Deployments:", '    """The deployments, by name."""', ""]
    for name, class_name in classes:
        if len(classes) > 1:
            lines += ["    @overload"]
        body = "..." if len(classes) > 1 else f"return {class_name}()"
        lines += [f"    def from_name(self, name: Literal[{name!r}]) -> {class_name}: {body}", ""]
    if len(classes) > 1:
        table = ", ".join(f"{name!r}: {class_name}" for name, class_name in classes)
        lines += ["    def from_name(self, name: str) -> Any:", f"        return {{{table}}}[name]()", ""]
    return "\n".join([*lines, "", "deployments = Deployments()"])


def _docstring(text: str, indent: int) -> str:
    """A docstring on one line: a literal, whatever the text holds."""
    return " " * indent + ('"""' + text + '"""' if _is_plain(text) else repr(text))


def _is_plain(text: str) -> bool:
    return text.isprintable() and '"' not in text and "\\" not in text
