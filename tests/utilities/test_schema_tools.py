from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic import ValidationError as PydanticError

from prefect._json_schema import Checker
from prefect.utilities.schema_tools import (
    CircularSchemaRefError,
    HydrationContext,
    HydrationError,
    ValidationError,
    hydrate,
    is_valid_schema,
    validate,
)
from prefect.utilities.schema_tools import hydration as h
from prefect.utilities.schema_tools.validation import build_error_obj, is_valid, preprocess_schema, process_properties

SCHEMA = {
    "title": "Parameters",
    "type": "object",
    "properties": {
        "a": {"type": "integer", "title": "a", "position": 0},
        "b": {"type": "string", "default": "x", "title": "b", "position": 1},
        "c": {"title": "c", "position": 2, "$ref": "#/definitions/D"},
    },
    "required": ["a"],
    "definitions": {"D": {"type": "object", "properties": {"n": {"type": "integer", "title": "N"}}, "required": ["n"]}},
}


@pytest.mark.parametrize(
    ("given", "found", "arranged"),
    [
        ({"a": 1}, [], []),
        ({"a": 1, "more": 3}, [], []),
        (
            {"a": "1"},
            [("'1' is not of type 'integer'", ("a",))],
            [{"property": "a", "errors": ["'1' is not of type 'integer'"]}],
        ),
        ({}, [("'a' is a required property", ())], [{"property": "a", "errors": ["'a' is a required property"]}]),
        (
            {"a": 1, "c": {"n": "x"}},
            [("'x' is not of type 'integer'", ("c", "n"))],
            [{"property": "c", "errors": [{"property": "n", "errors": ["'x' is not of type 'integer'"]}]}],
        ),
        (
            {"a": 1, "c": {}},
            [("'n' is a required property", ("c",))],
            [{"property": "c", "errors": [{"property": "n", "errors": ["'n' is a required property"]}]}],
        ),
        (
            {"a": 1, "b": 3, "c": []},
            [("3 is not of type 'string'", ("b",)), ("[] is not of type 'object'", ("c",))],
            [
                {"property": "b", "errors": ["3 is not of type 'string'"]},
                {"property": "c", "errors": ["[] is not of type 'object'"]},
            ],
        ),
    ],
)
def test_errors(given, found, arranged):
    errors = validate(given, SCHEMA)
    assert [(error.message, error.path) for error in errors] == found
    assert build_error_obj(errors) == {"errors": arranged, "valid": not found}
    assert is_valid(given, SCHEMA) is not found or not found


def test_items_are_told_by_index():
    schema = {
        "type": "object",
        "properties": {"t": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "maxItems": 2}},
    }
    assert build_error_obj(validate({"t": ["a", 1, 2]}, schema))["errors"] == [
        {
            "property": "t",
            "errors": [
                {"index": 0, "errors": ["'a' is not of type 'integer'"]},
                {"index": 1, "errors": ["1 is not of type 'string'"]},
            ],
        },
        {"property": "t", "errors": ["['a', 1, 2] is too long"]},
    ]


def test_raising():
    with pytest.raises(
        ValidationError, match=r"^Validation failed for field 'c\.n'\. Failure reason: 'x' is not of type"
    ):
        validate({"a": 1, "c": {"n": "x"}}, SCHEMA, raise_on_error=True)
    with pytest.raises(ValidationError, match=r"^Validation failed\. Failure reason: 'a' is a required property"):
        validate({}, SCHEMA, raise_on_error=True)
    assert validate({"a": 1}, SCHEMA, raise_on_error=True) == []


def test_options():
    assert validate({}, SCHEMA, ignore_required=True) == []
    assert validate({"a": 1, "c": {}}, SCHEMA, ignore_required=True) == []
    assert len(validate({"a": 1, "b": None}, SCHEMA)) == 1
    assert validate({"a": 1, "b": None}, SCHEMA, allow_none_with_default=True) == []
    assert len(validate({"a": None}, SCHEMA, allow_none_with_default=True)) == 1


def test_a_property_may_be_called_required():
    schema = {"type": "object", "properties": {"required": {"type": "integer"}}, "required": ["required"]}
    assert len(validate({"required": "x"}, schema, ignore_required=True)) == 1


def test_optional_properties_may_be_null():
    optional = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}, "required": ["y"]}
    assert validate({"x": None, "y": 1}, optional) == []
    assert len(validate({"x": None, "y": 1}, optional, preprocess=False)) == 1
    assert preprocess_schema(optional)["properties"] == {
        "x": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "y": {"type": "integer"},
    }
    assert optional["properties"]["x"] == {"type": "integer"}
    properties = {"o": {"type": "object", "properties": {"q": {"type": "string"}}}}
    assert process_properties(properties, ["o"]) is None
    assert properties["o"]["properties"]["q"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}


def test_references():
    tree = {
        "type": "object",
        "properties": {"a": {"$ref": "#/definitions/N"}},
        "definitions": {
            "N": {"type": "object", "properties": {"c": {"type": "array", "items": {"$ref": "#/definitions/N"}}}}
        },
    }
    (error,) = validate({"a": {"c": [{"c": [1]}]}}, tree)
    assert error.path == ("a", "c", 0, "c", 0)
    with pytest.raises(CircularSchemaRefError, match="N"):
        validate({"a": 1}, {**tree, "definitions": {"N": {"$ref": "#/definitions/N"}}})
    with pytest.raises(ValidationError, match="#/definitions/N"):
        validate({"a": 1}, {**tree, "definitions": {}})
    with pytest.raises(ValidationError, match="leads out of the schema"):
        validate(1, {"$ref": "https://example.com/schema.json"})


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": ["integer", "null"]}, [1, None, 1.0], ["x", 1.5, True]),
        ({"type": "number"}, [1, 1.5], [True, "1"]),
        ({"enum": [1, "a", None]}, [1, "a", None, 1.0], [True, "b"]),
        ({"const": {"a": [1]}}, [{"a": [1]}], [{"a": [True]}, 1]),
        ({"minimum": 1, "exclusiveMaximum": 3}, [1, 2.9, "other"], [0, 3]),
        ({"exclusiveMinimum": 1, "maximum": 3}, [1.1, 3], [1, 4]),
        ({"multipleOf": 0.1}, [0.3, 2], [0.35]),
        ({"minLength": 2, "maxLength": 3, "pattern": "^a"}, ["ab", "abc", 1], ["a", "abcd", "ba"]),
        (
            {"minItems": 1, "maxItems": 2, "uniqueItems": True},
            [[1], [1, 2], [1, True]],
            [[], [1, 2, 3], [1, 1], [[1], [1]]],
        ),
        ({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, [["a", 1], []], [[1], ["a", "b"]]),
        ({"contains": {"type": "integer"}, "maxContains": 1}, [["a", 1]], [["a"], [1, 2]]),
        ({"minProperties": 1, "maxProperties": 1}, [{"a": 1}], [{}, {"a": 1, "b": 2}]),
        ({"properties": {"a": {}}, "additionalProperties": False}, [{"a": 1}], [{"b": 1}]),
        ({"additionalProperties": {"type": "integer"}}, [{"a": 1}], [{"a": "x"}]),
        (
            {"patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": False},
            [{"x1": 1}],
            [{"x": "a"}, {"y": 1}],
        ),
        ({"propertyNames": {"maxLength": 1}}, [{"a": 1}], [{"ab": 1}]),
        ({"dependentRequired": {"a": ["b"]}}, [{"a": 1, "b": 1}, {}], [{"a": 1}]),
        ({"dependentSchemas": {"a": {"required": ["b"]}}}, [{"a": 1, "b": 1}, {}], [{"a": 1}]),
        ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, [3], [2, "x"]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, [1, None], ["x"]),
        ({"oneOf": [{"minimum": 3}, {"maximum": 5}]}, [1, 9], [4]),
        ({"not": {"type": "integer"}}, ["x"], [1]),
        ({"if": {"type": "integer"}, "then": {"minimum": 3}, "else": {"type": "string"}}, [3, "x"], [2, None]),
        (True, [1, None], []),
        (False, [], [1, None]),
    ],
)
def test_keywords(schema, good, bad):
    checker = Checker(schema)
    for value in good:
        assert checker.errors(value) == []
    for value in bad:
        assert checker.errors(value)


class _Shape:
    """Types whose pydantic schemas say the same as pydantic does in strict mode."""

    TYPES = st.sampled_from(
        [
            int,
            str,
            bool,
            type(None),
            list[int],
            dict[str, int],
            int | None,
            list[int | str],
            dict[str, list[bool]],
            list[list[int]],
        ]
    )
    VALUES = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=2),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
        max_leaves=5,
    )


@given(_Shape.TYPES, _Shape.VALUES)
def test_agrees_with_pydantic(kind, value):
    adapter = TypeAdapter(kind)
    try:
        adapter.validate_python(value, strict=True)
        fits = True
    except PydanticError:
        fits = False
    assert (Checker(adapter.json_schema()).errors(value) == []) is fits


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nope"},
        {"type": []},
        {"required": "a"},
        {"properties": []},
        {"properties": {"a": 3}},
        {"anyOf": []},
        {"minimum": "1"},
        {"multipleOf": 0},
        {"minLength": -1},
        {"pattern": "("},
        {"enum": 3},
        {"$ref": 3},
        {"items": [{"type": "integer"}]},
        {"definitions": {"A": {"type": "nope"}}},
        [],
    ],
)
def test_faulty_schemas(schema):
    with pytest.raises(ValueError, match="Invalid schema"):
        is_valid_schema(schema)


def test_schemas_in_order():
    assert is_valid_schema(SCHEMA) is None
    assert is_valid_schema(SCHEMA, preprocess=False) is None


RENDER = HydrationContext(
    render_jinja=True, render_workspace_variables=True, jinja_context={"x": 7}, workspace_variables={"v": "vv"}
)


def kind(name, **rest):
    return {"__prefect_kind": name, **rest}


@pytest.mark.parametrize(
    ("given", "plain", "rendered"),
    [
        (1, 1, 1),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}),
        (kind("json", value='{"a":1}'), {"a": 1}, {"a": 1}),
        (kind("json", value=None), None, None),
        (kind("json"), {}, {}),
        ([kind("json")], [], []),
        ({"a": kind("json"), "b": 1}, {"b": 1}, {"b": 1}),
        (kind("jinja", template="hi {{ x }}"), h.ValidJinja("hi {{ x }}"), "hi 7"),
        (kind("jinja"), h.TemplateNotFound(), h.TemplateNotFound()),
        (kind("workspace_variable", variable_name="v"), h.WorkspaceVariable("v"), "vv"),
        (kind("workspace_variable", variable_name="w"), h.WorkspaceVariable("w"), h.WorkspaceVariableNotFound("w")),
        (kind("workspace_variable"), {}, {}),
        (kind("none", value=5), 5, 5),
        (kind(None, value=5), 5, 5),
        (kind(None), None, None),
        (kind("none"), h.ValueNotFound(), h.ValueNotFound()),
        (kind("unknown", value=5), 5, 5),
        (kind("json", value=kind("jinja", template="[1, {{ x }}]")), h.ValidJinja("[1, {{ x }}]"), [1, 7]),
        ({"a": kind("json", value="[1]")}, {"a": [1]}, {"a": [1]}),
    ],
)
def test_hydration(given, plain, rendered):
    assert hydrate(given) == plain
    assert hydrate(given, RENDER) == rendered


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (kind("json", value="{bad"), h.InvalidJSON, "Invalid JSON: Expecting property name"),
        (kind("jinja", template="hi {{ x"), h.InvalidJinja, "Invalid jinja: unexpected end of template"),
        (kind("jinja", template="{{ ''.__class__.__mro__ }}"), h.InvalidJinja, "unsafe"),
        (kind("jinja"), h.TemplateNotFound, "Missing 'template' key"),
        (kind("none"), h.ValueNotFound, "Missing 'value' key"),
        (
            kind("workspace_variable", variable_name="w"),
            h.WorkspaceVariableNotFound,
            "Variable 'w' not found in workspace",
        ),
        ({"a": [kind("json", value="{bad")]}, h.InvalidJSON, "Invalid JSON"),
    ],
)
def test_hydration_errors(given, error, message):
    strict = RENDER.model_copy(update={"raise_on_error": True})
    with pytest.raises(error, match=message) as caught:
        hydrate(given, strict)
    assert isinstance(caught.value, HydrationError)
    assert caught.value.is_error


def test_placeholders_are_checked_by_what_they_say():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
    given = hydrate({"a": kind("json", value="{bad"), "b": kind("jinja", template="{{ x }}")})
    (error,) = validate(given, schema)
    assert error.path == ("a",)
    assert error.message.startswith("Invalid JSON")
    assert h.InvalidJSON("x") == h.InvalidJSON("x") != h.InvalidJSON("y")
    assert h.VariableNameNotFound().key == "variable_name"
    assert not h.RemoveValue().is_error
