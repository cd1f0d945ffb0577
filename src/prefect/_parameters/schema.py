"""Describe the parameters of a function as a JSON schema, for forms and for checking what a deployment is given.

The schema is what pydantic 2 says of the annotations, with the position of each parameter, its description from the
docstring and models under `definitions`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import pydantic
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from prefect._parameters.annotations import Unresolved, resolve_annotations
from prefect._parameters.binding import FunctionSpec
from prefect._parameters.docstrings import parameter_descriptions
from prefect._parameters.validation import for_pydantic

REFERENCE = "#/definitions/{model}"
_V1_MODEL = "x-pydantic-v1-model"  # stands for a reference while pydantic 2, which would look it up, makes the schema


class ParameterSchema(pydantic.BaseModel):
    """The JSON schema of a function's parameters.

    Attributes:
        title: always "Parameters".
        type: always "object".
        properties: a schema for each parameter, which also tells its `position`.
        required: the names of parameters without a default.
        definitions: the schemas of models that the properties refer to as `#/definitions/<name>`.
    """

    title: typing.Literal["Parameters"] = "Parameters"
    type: typing.Literal["object"] = "object"
    properties: dict[str, Any] = pydantic.Field(default_factory=dict)
    required: list[str] | None = None
    definitions: dict[str, Any] = pydantic.Field(default_factory=dict)

    def model_dump_for_openapi(self) -> dict[str, Any]:
        """The schema as plain data, without `required` if nothing is."""
        dumped = self.model_dump(mode="python", exclude_none=True)
        if not dumped.get("required"):
            dumped.pop("required", None)
        return dumped


class _Generator(GenerateJsonSchema):
    """What has no JSON form is a property without a type; a default that has none is left out."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        return {}

    def callable_schema(self, schema: Any) -> JsonSchemaValue:
        return {}

    def emit_warning(self, kind: Any, detail: str) -> None:
        pass


def parameter_schema(fn: Callable[..., Any]) -> ParameterSchema:
    """Describe the parameters of a function; a leading `self` or `cls` is left out."""
    spec = FunctionSpec(fn)
    annotations = resolve_annotations(spec)
    parameters = [
        parameter.replace(annotation=annotations.get(name, parameter.empty))
        for name, parameter in spec.signature.parameters.items()
    ]
    return schema_of_parameters(parameters, parameter_descriptions(inspect.getdoc(fn)))


def schema_of_parameters(
    parameters: Iterable[inspect.Parameter], descriptions: Mapping[str, str] | None = None
) -> ParameterSchema:
    """Describe parameters whose annotations are evaluated; text and `Unresolved` in their place mean "anything"."""
    fields = [
        _Field(position, parameter, (descriptions or {}).get(parameter.name))
        for position, parameter in enumerate(parameters)
        if position or parameter.name not in ("self", "cls") or parameter.annotation is not parameter.empty
    ]
    try:
        generated = _generate(fields)
    except Exception:  # pydantic and the hooks of annotated classes raise what they like; find the fields it is about
        for field in fields:
            field.forget_type_if_unusable()
        generated = _generate(fields)
    definitions = generated.get("$defs", {})
    for field in fields:
        definitions.update(field.v1_definitions)
    return ParameterSchema(
        properties=generated.get("properties", {}),
        required=generated.get("required", []),
        definitions=definitions,
    )


class _Field:
    """One parameter on its way to being a property."""

    def __init__(self, position: int, parameter: inspect.Parameter, description: str | None) -> None:
        self.position = position
        self.name = parameter.name
        self.description = description
        self.default: dict[str, Any] = {}
        self.v1_definitions: dict[str, Any] = {}
        annotation = parameter.annotation
        if annotation is parameter.empty or isinstance(annotation, (str, Unresolved)):
            annotation = Any
        if parameter.default is not parameter.empty:
            self.default = {"default": parameter.default}
        self.annotation = self._portable(annotation)
        if parameter.kind is parameter.VAR_POSITIONAL:
            self.annotation, self.default = list[self.annotation], {"default_factory": list}
        elif parameter.kind is parameter.VAR_KEYWORD:
            self.annotation, self.default = dict[str, self.annotation], {"default_factory": dict}
        elif isinstance(parameter.default, pydantic.fields.FieldInfo):
            self._adopt(parameter.default)

    def _adopt(self, given: pydantic.fields.FieldInfo) -> None:
        """Take over what a `Field(...)` in place of a default says."""
        self.description = self.description or given.description
        if given.metadata:
            self.annotation = Annotated[(self.annotation, *given.metadata)]
        self.default = {}
        if given.default_factory is not None:
            self.default = {"default_factory": given.default_factory}
        elif not given.is_required():
            self.default = {"default": given.default}

    def _portable(self, annotation: Any) -> Any:
        return for_pydantic(annotation, self._v1_reference)

    def _v1_reference(self, model: Any) -> Any:
        try:
            schema = model.schema(ref_template=REFERENCE)
        except Exception:  # see `schema_of_parameters`
            return Any
        self.v1_definitions.update(schema.pop("definitions", {}))
        self.v1_definitions[model.__name__] = schema
        return Annotated[Any, pydantic.WithJsonSchema({_V1_MODEL: model.__name__})]

    def forget_type_if_unusable(self) -> None:
        try:
            _generate([self])
        except Exception:  # see `schema_of_parameters`
            self.annotation = Any

    def definition(self) -> tuple[Any, Any]:
        options: dict[str, Any] = {"title": self.name, "alias": self.name, **(self.default or {"default": ...})}
        if self.description:
            options["description"] = self.description
        return self.annotation, pydantic.Field(json_schema_extra={"position": self.position}, **options)


def _generate(fields: list[_Field]) -> dict[str, Any]:
    # fields are numbered and carry the parameter's name as alias, for parameters may have names that a model cannot
    model = pydantic.create_model(
        "Parameters",
        __config__=pydantic.ConfigDict(arbitrary_types_allowed=True, use_enum_values=False),
        **{f"p{field.position}": field.definition() for field in fields},  # type: ignore[call-overload]
    )
    return _refer_to_v1(model.model_json_schema(by_alias=True, ref_template=REFERENCE, schema_generator=_Generator))


def _refer_to_v1(schema: Any) -> Any:
    """Put references where `_V1_MODEL` stands for them."""
    if isinstance(schema, list):
        return [_refer_to_v1(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    renewed = {key: _refer_to_v1(value) for key, value in schema.items()}
    if isinstance(name := renewed.pop(_V1_MODEL, None), str):
        renewed["$ref"] = REFERENCE.format(model=name)
    return renewed
