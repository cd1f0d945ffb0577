from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Optional

import pytest
from pydantic import BaseModel

from prefect._parameters.docstrings import parameter_descriptions
from prefect._parameters.schema import ParameterSchema, parameter_schema

from . import schema_cases

FACTS = json.loads(Path(__file__).with_name("schema_facts.json").read_text())
# where we answer otherwise, on purpose
CHANGES = {
    # what `Annotated` and `Field` say is shown, too
    "annotated": {"a": {"description": "big"}},
    "fields": {"a": {"exclusiveMinimum": 3}},
    # variadic parameters are a list and a dict, and not required
    "variadic": {
        "args": {"type": "array", "items": {"type": "integer"}},
        "kw": {"type": "object", "additionalProperties": True},
        "required": ["a"],
    },
    "google": {
        "args": {"type": "array", "items": {}, "description": "the rest"},
        "kw": {"type": "object", "additionalProperties": True, "description": "named rest"},
        "required": ["a"],
    },
}


def key(fn):
    return fn.__qualname__ + ("#bound" if getattr(fn, "__self__", None).__class__ is schema_cases.Methods else "")


def normal(schema):
    """Leave out what differs between releases of pydantic: how it writes decimal numbers."""
    text = json.dumps(schema)
    pattern = json.dumps({"pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$", "type": "string"})
    return json.loads(text.replace(pattern, json.dumps({"type": "string"})))


@pytest.mark.parametrize("fn", schema_cases.CASES, ids=key)
def test_schemas_are_those_of_the_reference(fn):
    expected = json.loads(json.dumps(FACTS[key(fn)]))
    for name, change in CHANGES.get(key(fn), {}).items():
        if name == "required":
            expected["required"] = change
        else:
            expected["properties"][name].update(change)
    answer = parameter_schema(fn).model_dump_for_openapi()
    assert normal(answer) == normal(expected)
    assert list(answer["properties"]) == list(expected["properties"])


def test_a_local_model_is_described():
    class Local(BaseModel):
        y: int

    def fn(x: Local, z: Optional[Local] = None):  # noqa: UP045
        pass

    schema = parameter_schema(fn)
    assert schema.properties["x"]["$ref"] == "#/definitions/Local"
    assert schema.required == ["x"]


def test_names_that_a_model_could_not_have():
    def fn(_x: int, self: int = 1):
        pass

    assert list(parameter_schema(fn).properties) == ["_x", "self"]


def test_partials_and_wrappers():
    def fn(a: int, b: str):
        pass

    @functools.wraps(fn)
    def wrapper(*args, **kwargs):
        pass

    assert parameter_schema(wrapper) == parameter_schema(fn)
    assert list(parameter_schema(functools.partial(fn, 1)).properties) == ["b"]


def test_one_unusable_annotation_does_not_cost_the_others():
    class Faulty:
        @classmethod
        def __get_pydantic_core_schema__(cls, source, handler):
            raise LookupError("no such schema")

    def fn(a, b: int):
        pass

    fn.__annotations__["a"] = Faulty
    assert parameter_schema(fn).properties["a"] == {"position": 0, "title": "a"}
    assert parameter_schema(fn).properties["b"]["type"] == "integer"


def test_models_of_pydantic_1():
    from pydantic.v1 import BaseModel as OldBase

    class Part(OldBase):
        n: int

    class Old(OldBase):
        part: Part

    def fn(a, b: int = 1):
        pass

    Old.update_forward_refs(Part=Part)
    fn.__annotations__["a"] = Optional[Old]  # noqa: UP045
    schema = parameter_schema(fn)
    assert schema.properties["a"]["anyOf"][0] == {"$ref": "#/definitions/Old"}
    assert schema.definitions["Old"]["properties"]["part"] == {"$ref": "#/definitions/Part"}
    assert schema.definitions["Part"]["required"] == ["n"]


def test_empty_schema():
    assert ParameterSchema().model_dump_for_openapi() == {
        "title": "Parameters",
        "type": "object",
        "properties": {},
        "definitions": {},
    }


GOOGLE = """Do.

Args:
    a: the a
        more
    b (int): the b, default 3
    c (dict[str, tuple(int)], optional): see
        https://example.com: there

        and a second paragraph
    *rest: others

Returns:
    x: not a parameter
"""
NUMPY = """Do.

Parameters
----------
a : int
    the a
    more
b, c : str, optional
    both
**kw
    rest

Returns
-------
x : int
    not a parameter
"""
SPHINX = """Do.

:param a: the a
    more
:param int b: the b
:param dict[str, int] c: the c
:type a: int
:return: x
"""


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        (
            GOOGLE,
            {
                "a": "the a\nmore",
                "b": "the b, default 3",
                "c": "see\nhttps://example.com: there\n\nand a second paragraph",
                "rest": "others",
            },
        ),
        (NUMPY, {"a": "the a\nmore", "b": "both", "c": "both", "kw": "rest"}),
        (SPHINX, {"a": "the a\nmore", "b": "the b", "c": "the c"}),
        ("Just text: with a colon.", {}),
        ("", {}),
        (None, {}),
        ("Args:\n", {}),
    ],
)
def test_descriptions_from_docstrings(docstring, expected):
    assert parameter_descriptions(docstring) == expected
