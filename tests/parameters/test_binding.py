from __future__ import annotations

import functools
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect._parameters.binding import FunctionSpec
from prefect.exceptions import ParameterBindError, SignatureMismatchError


def no_parameters():
    pass


def one(x):
    pass


def plain(a, b=2, c="three"):
    pass


def keyword_only(a, *, b, c=3):
    pass


def everything(a, b=2, *args, c, d=4, **kw):
    pass


def positional_only(a, b, /, c=2, **kw):
    pass


def optional_positional_only(a, b=1, /, **kw):
    return a, b, kw


def stars(*args, **kwargs):
    pass


class Thing:
    def method(self, x, y=1):
        pass

    def only_star(*args):
        pass

    @classmethod
    def by_class(cls, x, *, z=3):
        pass

    @staticmethod
    def static(x):
        pass

    def __call__(self, q, r=2):
        pass


@functools.wraps(plain)
def wrapper(*args, **kwargs):
    return plain(*args, **kwargs)


FUNCTIONS = [
    no_parameters, one, plain, keyword_only, everything, positional_only, stars, Thing.method, Thing().method, Thing().only_star,
    Thing.by_class, Thing.static, Thing(), wrapper, functools.partial(plain, 1), functools.partial(plain, b=3), Thing, len,
]  # fmt: skip


def reference(fn, args, kwargs, defaults=True):
    bound = inspect.signature(fn).bind(*args, **kwargs)
    if defaults:
        bound.apply_defaults()
    return dict(bound.arguments)


@given(
    fn=st.sampled_from(FUNCTIONS),
    args=st.lists(st.integers(), max_size=5),
    kwargs=st.dictionaries(
        st.sampled_from(["a", "b", "c", "d", "x", "y", "z", "q", "kw", "args", "self"]), st.integers(), max_size=4
    ),
    defaults=st.booleans(),
)
def test_binds_as_the_language_does(fn, args, kwargs, defaults):
    spec = FunctionSpec(fn)
    try:
        expected = reference(fn, args, kwargs, defaults)
    except TypeError as error:
        with pytest.raises(ParameterBindError, match=spec.name) as caught:
            spec.bind(args, kwargs, defaults)
        assert str(error) in str(caught.value)
        return
    parameters = spec.bind(args, kwargs, defaults)
    assert list(parameters.items()) == list(expected.items())
    back_args, back_kwargs = spec.call_args(parameters)
    assert reference(fn, back_args, back_kwargs) == reference(fn, args, kwargs)


def test_positional_parameters_are_passed_by_position():
    assert FunctionSpec(plain).call_args({"a": 1, "b": 2, "c": 3}) == ((1, 2, 3), {})
    assert FunctionSpec(plain).call_args({"c": 3, "a": 1, "b": 2}) == ((1, 2, 3), {})


def test_missing_parameters_are_left_to_the_defaults():
    assert FunctionSpec(plain).call_args({"a": 1, "c": 3}) == ((1,), {"c": 3})
    assert FunctionSpec(everything).call_args({"a": 1}) == ((1,), {})


def test_variadic_parameters_go_back_to_their_places():
    parameters = {"a": 1, "b": 2, "args": (3,), "c": 4, "d": 5, "kw": {"x": 1}}
    assert FunctionSpec(everything).call_args(parameters) == ((1, 2, 3), {"c": 4, "d": 5, "x": 1})


def test_unknown_names_are_refused_by_name():
    with pytest.raises(SignatureMismatchError, match=r"'plain'.*\['a', 'b', 'c'\].*\['a', 'zz'\]"):
        FunctionSpec(plain).call_args({"a": 1, "zz": 2})


def test_the_error_names_function_parameter_and_signature():
    with pytest.raises(ParameterBindError, match=r"(?s)'plain'.*missing a required argument: 'a'.*a, b=2, c='three'"):
        FunctionSpec(plain).bind((), {"b": 1})
    with pytest.raises(ParameterBindError, match=r"(?s)unexpected keyword argument 'zz'.*\(1,\).*\['zz'\]"):
        FunctionSpec(plain).bind((1,), {"zz": 1})


def test_a_default_is_the_very_object():
    marker = object()

    def fn(x=marker):
        pass

    assert FunctionSpec(fn).bind((), {})["x"] is marker


def test_a_positional_only_name_may_be_a_key_of_the_keyword_dict():
    # `inspect.Signature.bind` of Python 3.11 refuses this call, the language allows it
    assert optional_positional_only(0, b=5) == (0, 1, {"b": 5})
    spec = FunctionSpec(optional_positional_only)
    assert spec.bind((0,), {"b": 5}) == {"a": 0, "b": 1, "kw": {"b": 5}}
    args, kwargs = spec.call_args({"a": 0, "b": 1, "kw": {"b": 5}})
    assert optional_positional_only(*args, **kwargs) == (0, 1, {"b": 5})
