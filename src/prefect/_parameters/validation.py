"""Check the parameters of a flow run against the annotations of the flow function, and coerce them.

The rules are those of pydantic 2 in its lax mode: `"5"` becomes 5 for an `int`, a dict becomes a model. Defaults are checked
like given values. The items of `*args` and `**kwargs` are not checked. Values that have the annotated type already are
recognised without pydantic (`quickcheck`).
"""

from __future__ import annotations

import sys
import types
import typing
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Union

from prefect._lazy import imported, lazy_module
from prefect._parameters.annotations import Unresolved, resolve_annotations
from prefect._parameters.quickcheck import ANYTHING, UNSURE, Accepted, accepted_types
from prefect.exceptions import ParameterTypeError, SignatureMismatchError

if TYPE_CHECKING:
    import pydantic
    import typing_extensions
    from pydantic.fields import FieldInfo

    from prefect._parameters.binding import FunctionSpec
else:
    pydantic = lazy_module("pydantic")
    typing_extensions = lazy_module("typing_extensions")


def validate(spec: FunctionSpec, parameters: dict[str, Any], name: str | None = None) -> dict[str, Any]:
    """Return the parameters of a run with each value checked and coerced.

    Args:
        spec: the function.
        parameters: name -> value as `FunctionSpec.bind` gives them; not changed. Parameters with a default may be missing.
        name: the flow's name, for the error.

    Returns:
        The same dict if nothing was coerced, else a new one.

    Raises:
        ParameterTypeError: values do not fit; names the flow and, for each faulty parameter, the reason.
        SignatureMismatchError: a name is not a parameter of the function.
    """
    validator: Validator | None = spec.validator
    if validator is None:
        validator = spec.validator = Validator(spec)
    return validator.validate(parameters, name or spec.name)


class Validator:
    """The checks of one function, made once."""

    __slots__ = ("_adapter", "annotations", "quick", "spec")

    def __init__(self, spec: FunctionSpec) -> None:
        self.spec = spec
        variadic = (spec.var_positional, spec.var_keyword)
        annotations = {name: note for name, note in resolve_annotations(spec).items() if name not in variadic}
        self.quick: list[tuple[str, Accepted]] = []
        for name, annotation in list(annotations.items()):
            accepted = {} if _field_default(spec, name) else accepted_types(annotation)
            if accepted is ANYTHING:
                del annotations[name]
            else:
                # a parameter without a quick check sends every call to pydantic
                self.quick.append((name, accepted or {}))
        self.annotations = annotations
        self._adapter: pydantic.TypeAdapter[dict[str, Any]] | None = None

    def validate(self, parameters: dict[str, Any], flow_name: str) -> dict[str, Any]:
        if len(parameters) != len(self.spec.names):
            self._check_names(parameters, flow_name)
        renewed = parameters
        for name, accepted in self.quick:
            if name not in parameters:
                continue
            value = parameters[name]
            check = accepted.get(type(value), UNSURE)
            if check is None:
                continue
            result = UNSURE if check is UNSURE else check(value)
            if result is UNSURE:
                return self._validate_with_pydantic(parameters, flow_name)
            if renewed is parameters:
                renewed = dict(parameters)
            renewed[name] = result
        return renewed

    def _check_names(self, parameters: dict[str, Any], flow_name: str) -> None:
        spec = self.spec
        unknown = [name for name in parameters if name not in spec.names]
        if unknown:
            raise SignatureMismatchError(
                f"Flow {flow_name!r} has the parameters {list(spec.names)} but was given {list(parameters)}."
            )
        needed = (name for name in spec.positional + spec.keyword_only if name not in spec.defaults)
        missing = [name for name in needed if name not in parameters]
        if missing:
            raise ParameterTypeError(_message(flow_name, [(name, "Field required") for name in missing]))

    def _validate_with_pydantic(self, parameters: dict[str, Any], flow_name: str) -> dict[str, Any]:
        if self._adapter is None:
            self._adapter = self._make_adapter(flow_name)
        given = {name: parameters[name] for name in self.annotations if name in parameters}
        for name, value in given.items():
            field = _field_default(self.spec, name)
            if field is not None and value is field:
                given[name] = _default_in(field, name, flow_name)
        try:
            checked = self._adapter.validate_python(given)
        except pydantic.ValidationError as error:
            raise ParameterTypeError(_message(flow_name, _faults(error))) from error
        return {**parameters, **checked}

    def _make_adapter(self, flow_name: str) -> pydantic.TypeAdapter[dict[str, Any]]:
        fields: dict[str, Any] = {}
        for name, annotation in self.annotations.items():
            if isinstance(annotation, Unresolved):
                _warn_unchecked(flow_name, name, annotation.text, annotation.reason)
                continue
            fields[name] = for_pydantic(annotation)
            field = _field_default(self.spec, name)
            constraints = field.metadata if field is not None else []
            if constraints:
                fields[name] = Annotated[(fields[name], *constraints)]
        try:
            return _adapter(fields)
        except Exception:  # pydantic and the hooks of annotated classes raise what they like; find the one it is about
            return _adapter({name: note for name, note in fields.items() if _is_understood(flow_name, name, note)})


def _adapter(fields: dict[str, Any]) -> pydantic.TypeAdapter[dict[str, Any]]:
    """A typed dict: unlike a model it has no names of its own for parameters to clash with."""
    shape: Any = typing_extensions.TypedDict("Parameters", fields, total=False)  # type: ignore[operator]
    shape.__pydantic_config__ = pydantic.ConfigDict(arbitrary_types_allowed=True)
    return pydantic.TypeAdapter(shape)


def _is_understood(flow_name: str, name: str, annotation: Any) -> bool:
    try:
        _adapter({name: annotation})
    except Exception as error:  # see `_make_adapter`
        _warn_unchecked(flow_name, name, repr(annotation), str(error).partition("\n")[0])
        return False
    return True


def _warn_unchecked(flow_name: str, name: str, annotation: str, reason: str) -> None:
    warnings.warn(
        f"Parameter {name!r} of flow {flow_name!r} is not checked: its annotation {annotation} cannot be used at run time "
        f"({reason}). Import its names at module level, correct it, or set `validate_parameters=False`.",
        UserWarning,
        stacklevel=2,
    )


def _field_default(spec: FunctionSpec, name: str) -> FieldInfo | None:
    """The pydantic `Field(...)` given in place of a default, if it is one."""
    default = spec.defaults.get(name)
    kind = type(default)
    return default if kind.__name__ == "FieldInfo" and kind.__module__ == "pydantic.fields" else None


def _default_in(field: FieldInfo, name: str, flow_name: str) -> Any:
    if field.is_required():
        raise ParameterTypeError(_message(flow_name, [(name, "Field required")]))
    return field.get_default(call_default_factory=True, validated_data={})


def _faults(error: pydantic.ValidationError) -> list[tuple[str, str]]:
    # the value given is not shown: it may be a secret, and the message is stored with the run
    return [
        (".".join(map(str, fault["loc"])), f"{fault['msg']} (given: {type(fault['input']).__name__})")
        for fault in error.errors(include_url=False)
    ]


def _message(flow_name: str, faults: list[tuple[str, str]]) -> str:
    lines = [f" - {name}: {reason}" for name, reason in faults]
    return "\n".join([f"Flow run received invalid parameters for flow {flow_name!r}:", *lines])


# ── annotations that pydantic 2 does not take as they are ──


def for_pydantic(annotation: Any, replace_v1: Callable[[Any], Any] | None = None) -> Any:
    """Replace models of pydantic 1 and, before Python 3.12, typed dicts of `typing` by what pydantic 2 takes.

    Args:
        annotation: the annotation; what it is made of is replaced too.
        replace_v1: what to put in the place of a model of pydantic 1; by default, a validator that builds it.
    """
    if is_v1_model(annotation):
        return (replace_v1 or _validated_v1)(annotation)
    if sys.version_info < (3, 12) and type(annotation) is getattr(typing, "_TypedDictMeta", None):
        return _portable_typed_dict(annotation, replace_v1)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if not arguments or origin is typing.Literal:
        return annotation
    renewed = tuple(for_pydantic(argument, replace_v1) for argument in arguments)
    if all(new is old for new, old in zip(renewed, arguments, strict=True)):
        return annotation
    if origin is Annotated:
        return Annotated[renewed]
    if origin in (Union, types.UnionType):
        return Union[renewed]  # noqa: UP007 (made of a tuple)
    return origin[renewed]


def is_v1_model(annotation: Any) -> bool:
    module = imported("pydantic.v1.main")
    return module is not None and isinstance(annotation, type) and issubclass(annotation, module.BaseModel)


def _validated_v1(model: Any) -> Any:
    def validate_v1(value: Any) -> Any:
        # an instance is passed on as it is; the error of pydantic 1 is a ValueError, as pydantic 2 wants it
        return value if isinstance(value, model) else model.parse_obj(value)

    return Annotated[Any, pydantic.PlainValidator(validate_v1)]


def _portable_typed_dict(cls: Any, replace_v1: Callable[[Any], Any] | None) -> Any:
    hints = typing.get_type_hints(cls, include_extras=True)
    wrap = {True: typing_extensions.Required, False: typing_extensions.NotRequired}
    fields = {name: wrap[name in cls.__required_keys__][for_pydantic(hint, replace_v1)] for name, hint in hints.items()}
    return typing_extensions.TypedDict(cls.__name__, fields)  # type: ignore[operator]
