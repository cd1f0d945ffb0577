"""Check JSON values against a JSON schema (draft 2020-12, https://json-schema.org/draft/2020-12).

All assertions are known but those of `unevaluatedItems`, `unevaluatedProperties` and dynamic references; `format` is a note, as the
draft has it by default. References lead to places in the same schema only: nothing is ever fetched.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]
Schema = Any  # a dict, or True or False


class UnknownReferenceError(Exception):
    """A `$ref` leads nowhere, or out of the schema."""


class CircularReferenceError(Exception):
    """References lead in a circle without a step into the value."""


@dataclass(frozen=True)
class SchemaError:
    """What is wrong with a value.

    Attributes:
        message: the fault in words.
        path: the way from the outermost value to the faulty one: keys and indexes.
        validator: the keyword of the schema that is not met.
        validator_value: what the schema says under it.
        instance: the faulty value.
        context: for `anyOf` and `oneOf`, what is wrong by each alternative.
    """

    message: str
    path: Path = ()
    validator: str = ""
    validator_value: Any = None
    instance: Any = None
    context: list[SchemaError] = field(default_factory=list)


TYPES: dict[str, Callable[[Any], bool]] = {
    "array": lambda value: isinstance(value, (list, tuple)),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or float(value).is_integer()),
    "null": lambda value: value is None,
    "number": lambda value: _is_number(value),
    "object": lambda value: isinstance(value, Mapping),
    "string": lambda value: isinstance(value, str),
}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Checker:
    """Checks values against one schema.

    Args:
        schema: the schema.
        ignore_required: let properties be missing, at all depths.
        stand_in: called with each value; if it returns a list, these messages are all there is to say of the value.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        ignore_required: bool = False,
        stand_in: Callable[[Any], list[str] | None] | None = None,
    ) -> None:
        self.root = schema
        self.ignore_required = ignore_required
        self.stand_in = stand_in

    def errors(self, value: Any) -> list[SchemaError]:
        """All that is wrong with a value.

        Raises:
            UnknownReferenceError, CircularReferenceError: the schema itself is wrong.
        """
        return list(self.check(value, self.root, (), frozenset()))

    def check(self, value: Any, schema: Schema, path: Path, followed: frozenset[str]) -> Iterator[SchemaError]:
        """What is wrong with a value at `path` by a part of the schema reached by the references `followed`."""
        if self.stand_in is not None and (said := self.stand_in(value)) is not None:
            yield from (SchemaError(message, path, "placeholder", None, value) for message in said)
            return
        if schema is True:
            return
        if schema is False:
            yield SchemaError(f"False schema does not allow {value!r}", path, "false", False, value)
            return
        reference = schema.get("$ref")
        if reference is not None:
            if reference in followed:
                raise CircularReferenceError(f"The reference {reference!r} leads back to itself.")
            yield from self.check(value, self.resolve(reference), path, followed | {reference})
        for keyword, expected in schema.items():
            rule = _RULES.get(keyword)
            if rule is not None:
                yield from rule(self, _Place(value, schema, path, followed, keyword, expected))

    def resolve(self, reference: str) -> Schema:
        """The part of the schema that a reference such as `#/definitions/Name` leads to.

        Raises:
            UnknownReferenceError: there is no such part.
        """
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise UnknownReferenceError(f"The reference {reference!r} leads out of the schema, which is not followed.")
        found = self.root
        for step in reference.lstrip("#").split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(step)] if isinstance(found, list) else found[step]
            except (KeyError, IndexError, TypeError, ValueError):
                raise UnknownReferenceError(f"The reference {reference!r} leads to nothing in the schema.") from None
        return found

    def fits(self, value: Any, schema: Schema, place: _Place) -> bool:
        return next(self.check(value, schema, place.path, place.followed), None) is None


@dataclass(frozen=True, slots=True)
class _Place:
    """A value, and the keyword it is checked by."""

    value: Any
    schema: Mapping[str, Any]
    path: Path
    followed: frozenset[str]
    keyword: str
    expected: Any

    def error(self, message: str, context: list[SchemaError] | None = None) -> SchemaError:
        return SchemaError(message, self.path, self.keyword, self.expected, self.value, context or [])

    def into(self, key: str | int) -> Path:
        return (*self.path, key)


Rule = Callable[[Checker, _Place], Iterator[SchemaError]]
_RULES: dict[str, Rule] = {}
_INSIDE: frozenset[str] = frozenset()  # a step into the value begins a new chain of references


def _rule(keyword: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        _RULES[keyword] = rule
        return rule

    return register


def _simple(keyword: str, applies: Callable[[Any], bool], fault: Callable[[Any, Any], str | None]) -> None:
    """Register a keyword that says something of values of one kind; `fault(value, expected)` gives the message."""

    def rule(_: Checker, at: _Place) -> Iterator[SchemaError]:
        if applies(at.value) and (message := fault(at.value, at.expected)):
            yield at.error(message)

    _RULES[keyword] = rule


def _unless(holds: Callable[[Any, Any], bool], text: str) -> Callable[[Any, Any], str | None]:
    return lambda value, expected: None if holds(value, expected) else text.format(value=value, expected=expected)


def equal(one: Any, other: Any) -> bool:
    """Equality of JSON values: unlike in Python, 1 is not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return bool(one == other)


def _is_multiple(value: Any, of: Any) -> bool:
    if isinstance(value, int) and isinstance(of, int):
        return value % of == 0
    quotient = value / of
    return math.isclose(quotient, round(quotient), rel_tol=0, abs_tol=1e-9)


_number, _string, _array, _object = TYPES["number"], TYPES["string"], TYPES["array"], TYPES["object"]
_any: Callable[[Any], bool] = lambda _: True  # noqa: E731

_simple("enum", _any, _unless(lambda v, e: any(equal(v, each) for each in e), "{value!r} is not one of {expected!r}"))
_simple("const", _any, _unless(equal, "{expected!r} was expected"))
_simple("minimum", _number, _unless(lambda v, e: v >= e, "{value!r} is less than the minimum of {expected!r}"))
_simple("maximum", _number, _unless(lambda v, e: v <= e, "{value!r} is greater than the maximum of {expected!r}"))
_simple(
    "exclusiveMinimum",
    _number,
    _unless(lambda v, e: v > e, "{value!r} is less than or equal to the minimum of {expected!r}"),
)
_simple(
    "exclusiveMaximum",
    _number,
    _unless(lambda v, e: v < e, "{value!r} is greater than or equal to the maximum of {expected!r}"),
)
_simple("multipleOf", _number, _unless(_is_multiple, "{value!r} is not a multiple of {expected!r}"))
_simple("minLength", _string, _unless(lambda v, e: len(v) >= e, "{value!r} is too short"))
_simple("maxLength", _string, _unless(lambda v, e: len(v) <= e, "{value!r} is too long"))
_simple("pattern", _string, _unless(lambda v, e: re.search(e, v) is not None, "{value!r} does not match {expected!r}"))
_simple("minItems", _array, _unless(lambda v, e: len(v) >= e, "{value!r} is too short"))
_simple("maxItems", _array, _unless(lambda v, e: len(v) <= e, "{value!r} is too long"))
_simple("minProperties", _object, _unless(lambda v, e: len(v) >= e, "{value!r} does not have enough properties"))
_simple("maxProperties", _object, _unless(lambda v, e: len(v) <= e, "{value!r} has too many properties"))
_simple(
    "uniqueItems",
    _array,
    _unless(
        lambda v, e: not e or not any(equal(one, other) for at, one in enumerate(v) for other in v[:at]),
        "{value!r} has non-unique elements",
    ),
)


@_rule("type")
def _type(_: Checker, at: _Place) -> Iterator[SchemaError]:
    names = [at.expected] if isinstance(at.expected, str) else at.expected
    if not any(name in TYPES and TYPES[name](at.value) for name in names):
        yield at.error(f"{at.value!r} is not of type {', '.join(map(repr, names))}")


@_rule("required")
def _required(checker: Checker, at: _Place) -> Iterator[SchemaError]:
    if _object(at.value) and not checker.ignore_required:
        for name in at.expected:
            if name not in at.value:
                error = at.error(f"{name!r} is a required property")
                yield SchemaError(error.message, at.path, "required", name, at.value)


@_rule("dependentRequired")
def _dependent_required(checker: Checker, at: _Place) -> Iterator[SchemaError]:
    if _object(at.value) and not checker.ignore_required:
        for name, others in at.expected.items():
            for other in others:
                if name in at.value and other not in at.value:
                    yield at.error(f"{other!r} is a dependency of {name!r}")


@_rule("properties")
def _properties(checker: Checker, at: _Place) -> Iterator[SchemaError]:
    if _object(at.value):
        for name, schema in at.expected.items():
            if name in at.value:
                yield from checker.check(at.value[name], schema, at.into(name), _INSIDE)


@_rule("patternProperties")
def _pattern_properties(checker: Checker, at: _Place) -> Iterator[SchemaError]:
    if _object(at.value):
        for pattern, schema in at.expected.items():
            for name, item in at.value.items():
                if re.search(pattern, name):
                    yield from checker.check(item, schema, at.into(name), _INSIDE)


@_rule("additionalProperties")
def _additional_properties(checker: Checker, at: _Place) -> Iterator[SchemaError]:
    if not _object(at.value):
        return
    known, patterns = at.schema.get("properties", {}), at.schema.get("patternProperties", {})
    extra = [name for name in at.value if name not in known and not any(re.search(each, name) for each in patterns)]
    if at.expected is False and extra:
        names, verb = ", ".join(map(repr, extra)), "was" if len(extra) == 1 else "were"
        yield at.error(f"Additional properties are not allowed ({names} {verb} unexpected)")
        return
    for name in extra:
        yield from checker.check(at.value[name], at.expected, at.into(name), _INSIDE)


@_rule("propertyNames")
def _property_names(checker: Checker, at: _Place) -> Iterator[SchemaError]:
    if _object(at.value):
        for name in at.value:
            yield from checker.check(name, at.expected, at.path, _INSIDE)


@_rule("dependentSchemas")
def _dependent_schemas(checker: Checker, at: _Place) -> Iterator[SchemaError]:
    if _object(at.value):
        for name, schema in at.expected.items():
            if name in at.value:
                yield from checker.check(at.value, schema, at.path, at.followed)


@_rule("prefixItems")
def _prefix_items(checker: Checker, at: _Place) -> Iterator[SchemaError]:
    if _array(at.value):
        for index, (item, schema) in enumerate(zip(at.value, at.expected, strict=False)):
            yield from checker.check(item, schema, at.into(index), _INSIDE)


@_rule("items")
def _items(checker: Checker, at: _Place) -> Iterator[SchemaError]:
    if not _array(at.value):
        return
    before = len(at.schema.get("prefixItems", ()))
    for index, item in enumerate(at.value[before:], before):
        yield from checker.check(item, at.expected, at.into(index), _INSIDE)


@_rule("contains")
def _contains(checker: Checker, at: _Place) -> Iterator[SchemaError]:
    if not _array(at.value):
        return
    count = sum(checker.fits(item, at.expected, at) for item in at.value)
    if count < at.schema.get("minContains", 1):
        yield at.error(f"{at.value!r} does not contain enough items that match {at.expected!r}")
    if count > at.schema.get("maxContains", count):
        yield at.error(f"{at.value!r} contains too many items that match {at.expected!r}")


@_rule("allOf")
def _all_of(checker: Checker, at: _Place) -> Iterator[SchemaError]:
    for schema in at.expected:
        yield from checker.check(at.value, schema, at.path, at.followed)


@_rule("anyOf")
def _any_of(checker: Checker, at: _Place) -> Iterator[SchemaError]:
    context: list[SchemaError] = []
    for schema in at.expected:
        errors = list(checker.check(at.value, schema, at.path, at.followed))
        if not errors:
            return
        context.extend(errors)
    yield at.error(f"{at.value!r} is not valid under any of the given schemas", context)


@_rule("oneOf")
def _one_of(checker: Checker, at: _Place) -> Iterator[SchemaError]:
    results = [list(checker.check(at.value, schema, at.path, at.followed)) for schema in at.expected]
    fitting = [schema for schema, errors in zip(at.expected, results, strict=True) if not errors]
    if not fitting:
        context = [error for errors in results for error in errors]
        yield at.error(f"{at.value!r} is not valid under any of the given schemas", context)
    elif len(fitting) > 1:
        yield at.error(f"{at.value!r} is valid under each of {', '.join(map(repr, fitting))}")


@_rule("not")
def _not(checker: Checker, at: _Place) -> Iterator[SchemaError]:
    if checker.fits(at.value, at.expected, at):
        yield at.error(f"{at.value!r} should not be valid under {at.expected!r}")


@_rule("if")
def _if(checker: Checker, at: _Place) -> Iterator[SchemaError]:
    branch = "then" if checker.fits(at.value, at.expected, at) else "else"
    if branch in at.schema:
        yield from checker.check(at.value, at.schema[branch], at.path, at.followed)


# ── is a schema itself in order ──

_SCHEMA = "a schema (an object, true or false)"
_ONE = ("items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else")
_LISTS = ("prefixItems", "allOf", "anyOf", "oneOf")
_TABLES = ("properties", "patternProperties", "dependentSchemas", "definitions", "$defs")
_COUNTS = (
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minContains",
    "maxContains",
)
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


def schema_faults(schema: Schema, path: Path = ()) -> Iterator[SchemaError]:
    """What is wrong with a schema itself."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        yield SchemaError(f"{schema!r} is not {_SCHEMA}", path, "type", None, schema)
        return
    for keyword, said in schema.items():
        at = (*path, keyword)
        fault = _fault_of(keyword, said)
        if fault:
            yield SchemaError(fault, at, keyword, None, said)
        elif keyword in _ONE:
            yield from schema_faults(said, at)
        elif keyword in _LISTS:
            for index, each in enumerate(said):
                yield from schema_faults(each, (*at, index))
        elif keyword in _TABLES:
            for name, each in said.items():
                yield from schema_faults(each, (*at, name))


def _fault_of(keyword: str, said: Any) -> str | None:
    """What is wrong with what a schema says under a keyword, leaving aside the schemas within."""
    if keyword == "type":
        names = [said] if isinstance(said, str) else said
        good = (
            isinstance(names, list) and bool(names) and all(isinstance(name, str) and name in TYPES for name in names)
        )
        return None if good else f"{said!r} is not a type (one of {', '.join(map(repr, TYPES))}) or a list of types"
    if keyword == "required":
        good = isinstance(said, list) and all(isinstance(name, str) for name in said)
        return None if good else f"{said!r} is not a list of names"
    if keyword in _LISTS:
        return None if isinstance(said, list) and said else f"{said!r} is not a list of schemas"
    if keyword in _TABLES:
        return None if isinstance(said, Mapping) else f"{said!r} is not an object of schemas"
    if keyword in _COUNTS:
        return None if TYPES["integer"](said) and said >= 0 else f"{said!r} is not a count"
    if keyword in _NUMBERS:
        good = _is_number(said) and (keyword != "multipleOf" or said > 0)
        return None if good else f"{said!r} is not a number that {keyword!r} can have"
    if keyword == "enum":
        return None if isinstance(said, list) else f"{said!r} is not a list"
    if keyword == "$ref":
        return None if isinstance(said, str) else f"{said!r} is not a reference"
    if keyword == "pattern":
        try:
            re.compile(said)
        except (re.error, TypeError) as error:
            return f"{said!r} is not a regular expression: {error}"
    return None
