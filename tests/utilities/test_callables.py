from __future__ import annotations

import inspect
import pickle
import subprocess
import sys

import cloudpickle
import pytest

from prefect.exceptions import (
    MappingLengthMismatch,
    MappingMissingIterable,
    ParameterBindError,
    ReservedArgumentError,
    SignatureMismatchError,
)
from prefect.utilities.annotations import allow_failure, quote, unmapped
from prefect.utilities.callables import (
    ParameterSchema,
    call_with_parameters,
    cloudpickle_wrapped_call,
    collapse_variadic_parameters,
    create_v1_schema,
    expand_mapping_parameters,
    explode_variadic_parameter,
    generate_parameter_schema,
    get_call_parameters,
    get_parameter_defaults,
    parameter_docstrings,
    parameter_schema,
    parameters_to_args_kwargs,
    process_v1_params,
    raise_for_reserved_arguments,
)


def full(a, b=2, *args, c, d=4, **kw):
    return a, b, args, c, d, kw


def short(a, b=1):
    return a, b


def test_parameters_of_a_call():
    assert get_call_parameters(full, (1, 2, 3), {"c": 4, "z": 9}) == {
        "a": 1, "b": 2, "args": (3,), "c": 4, "d": 4, "kw": {"z": 9},
    }  # fmt: skip
    assert get_call_parameters(full, (1,), {"c": 3}, apply_defaults=False) == {"a": 1, "c": 3}
    with pytest.raises(ParameterBindError, match="missing a required argument: 'a'"):
        get_call_parameters(short, (), {})
    assert get_parameter_defaults(full) == {"b": 2, "d": 4}


def test_calling_with_parameters():
    parameters = {"a": 1, "b": 2, "args": (3,), "c": 4, "d": 5, "kw": {"x": 1}}
    assert parameters_to_args_kwargs(full, parameters) == ((1, 2, 3), {"c": 4, "d": 5, "x": 1})
    assert call_with_parameters(full, parameters) == (1, 2, (3,), 4, 5, {"x": 1})
    with pytest.raises(SignatureMismatchError):
        call_with_parameters(short, {"zz": 1})


def test_variadic_parameters():
    assert explode_variadic_parameter(full, {"a": 1, "c": 1, "kw": {"x": 1}}) == {"a": 1, "c": 1, "x": 1}
    assert explode_variadic_parameter(short, {"a": 1}) == {"a": 1}
    assert collapse_variadic_parameters(full, {"a": 1, "c": 2, "x": 1}) == {"a": 1, "c": 2, "kw": {"x": 1}}
    assert collapse_variadic_parameters(full, {"a": 1, "c": 2}) == {"a": 1, "c": 2}
    with pytest.raises(ValueError, match="'short' has no parameters 'x'"):
        collapse_variadic_parameters(short, {"a": 1, "x": 1})


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"a": [1, 2], "b": 3}, [{"a": 1, "b": 3}, {"a": 2, "b": 3}]),
        ({"a": [1, 2], "b": unmapped([1, 2])}, [{"a": 1, "b": [1, 2]}, {"a": 2, "b": [1, 2]}]),
        ({"a": []}, []),
        ({"a": "abc", "b": [1, 2]}, [{"a": "abc", "b": 1}, {"a": "abc", "b": 2}]),
        ({"a": (x for x in range(2)), "b": {"x": 1, "y": 2}}, [{"a": 0, "b": "x"}, {"a": 1, "b": "y"}]),
        ({"a": range(2)}, [{"a": 0, "b": 1}, {"a": 1, "b": 1}]),
        ({"a": allow_failure([1, 2])}, [{"a": allow_failure(1), "b": 1}, {"a": allow_failure(2), "b": 1}]),
        ({"a": quote([1, 2]), "b": [1, 2]}, [{"a": quote(1), "b": 1}, {"a": quote(2), "b": 2}]),
    ],
)
def test_mapping(parameters, expected):
    assert expand_mapping_parameters(short, parameters) == expected


def test_mapping_over_keyword_dicts():
    def fn(a, **kw): ...

    assert expand_mapping_parameters(fn, {"a": [1, 2], "kw": {"z": [3, 4], "y": 5}}) == [
        {"a": 1, "kw": {"z": 3, "y": 5}},
        {"a": 2, "kw": {"z": 4, "y": 5}},
    ]


def test_mapping_errors():
    with pytest.raises(MappingLengthMismatch, match=r"'a': 2, 'b': 1"):
        expand_mapping_parameters(short, {"a": [1, 2], "b": [1]})
    with pytest.raises(MappingMissingIterable, match="'a': 1"):
        expand_mapping_parameters(short, {"a": 1})


async def doubled(x):
    return 2 * x


def test_calls_that_travel():
    call = pickle.loads(pickle.dumps(cloudpickle_wrapped_call(lambda a, b: a + b, 1, b=2)))
    assert cloudpickle.loads(call()) == 3
    assert cloudpickle.loads(cloudpickle_wrapped_call(doubled, 4)()) == 8


def test_reserved_names():
    raise_for_reserved_arguments(short, ["wait_for"])
    with pytest.raises(ReservedArgumentError, match="'b' is a reserved argument name"):
        raise_for_reserved_arguments(short, ["wait_for", "b"])


def test_schemas():
    described = parameter_docstrings("Do.\n\nArgs:\n    a: the a\n")
    schema = generate_parameter_schema(inspect.signature(short), described)
    assert isinstance(schema, ParameterSchema)
    assert schema.properties["a"] == {"position": 0, "title": "a", "description": "the a"}
    assert parameter_schema(short).required == ["a"]


def test_schemas_by_pydantic_1():
    from pydantic.v1 import BaseConfig, BaseModel

    class Old(BaseModel):
        n: int

    def fn(old, copy=1): ...

    fn.__annotations__.update(old=Old, copy=int)
    aliases: dict[str, str] = {}
    fields = {}
    for position, parameter in enumerate(inspect.signature(fn).parameters.values()):
        name, kind, field = process_v1_params(
            parameter, position=position, docstrings={"copy": "how many"}, aliases=aliases
        )
        fields[name] = (kind, field)
    schema = create_v1_schema("Check", BaseConfig, fields)
    assert schema["title"] == "Check"
    assert schema["required"] == ["old"]
    assert schema["properties"]["copy"] == {
        "title": "copy", "description": "how many", "default": 1, "type": "integer", "position": 1,
    }  # fmt: skip
    assert schema["definitions"]["Old"]["properties"]["n"]["type"] == "integer"


def test_the_door_is_light():
    program = """
import sys
from prefect.utilities.callables import get_call_parameters
assert not {"pydantic", "cloudpickle", "asyncio"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
