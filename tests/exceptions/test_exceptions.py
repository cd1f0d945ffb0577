"""The error tree: messages, families, pickling."""

from __future__ import annotations

import pickle
import re

import pydantic
import pytest

from prefect import exceptions
from prefect.exceptions import (
    Abort,
    EventTooLarge,
    ExternalSignal,
    MissingContextError,
    ObjectNotFound,
    ParameterBindError,
    ParameterTypeError,
    Pause,
    PrefectException,
    PrefectImportError,
    PrefectSignal,
    ProfileSettingsValidationError,
    ScriptError,
    SignatureMismatchError,
    TerminationSignal,
    exception_traceback,
)

DEFINED = [
    value
    for value in vars(exceptions).values()
    if isinstance(value, type)
    and issubclass(value, BaseException)
    and not value.__name__.startswith("_")
    and value.__name__ != "PrefectHTTPStatusError"  # made when first used, of a request and its response: see below
]
ARGUMENTS = {
    "EventTooLarge": (10, 5),
    "ScriptError": (ValueError("x"), "flow.py"),
    "TerminationSignal": (15,),
    "ProfileSettingsValidationError": ([("PREFECT_X", "bad")],),
    **{name: (ValueError("http"),) for name in ("ObjectNotFound", "ObjectAlreadyExists")},
    **{name: (ValueError("http"),) for name in ("ObjectLimitReached", "ObjectUnsupported")},
    **dict.fromkeys(("ParameterTypeError", "ParameterBindError", "SignatureMismatchError"), ("m",)),
    "PrefectImportError": ("m",),
}


@pytest.mark.parametrize("cls", DEFINED, ids=lambda cls: cls.__name__)
def test_every_error_has_a_text_and_survives_pickling(cls: type[BaseException]) -> None:
    error = cls(*ARGUMENTS.get(cls.__name__, ()))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert str(copy) == str(error)
    assert copy.__dict__.keys() == error.__dict__.keys()
    if cls is not ExternalSignal:
        assert str(error)


@pytest.mark.parametrize("cls", DEFINED, ids=lambda cls: cls.__name__)
def test_the_drawing_shows_every_error(cls: type[BaseException]) -> None:
    assert re.search(rf"\b{cls.__name__}\b", exceptions.__doc__ or "")


def test_families() -> None:
    assert issubclass(MissingContextError, RuntimeError)
    assert issubclass(ParameterBindError, TypeError)
    assert issubclass(ParameterBindError, PrefectException)
    assert issubclass(PrefectImportError, ImportError)
    for signal in (Abort, Pause, PrefectSignal, TerminationSignal):
        assert not issubclass(signal, Exception)


def test_the_default_message_is_the_docstring_and_a_given_one_wins() -> None:
    assert "inside a flow or task run" in str(MissingContextError())
    assert str(MissingContextError("mine")) == "mine"


def test_bind_failures_show_the_signature_and_the_arguments_but_no_keyword_values() -> None:
    def add(a: int, b: int = 1) -> int:
        return a + b

    error = ParameterBindError.from_bind_failure(add, TypeError("too many positional arguments"), (1, 2, 3), {"c": 9})
    assert "function 'add': too many positional arguments." in str(error)
    assert "(1, 2, 3)" in str(error)
    assert "['c']" in str(error)
    assert "9" not in str(error)


def test_validation_failures_name_each_parameter() -> None:
    class Model(pydantic.BaseModel):
        x: int
        y: dict[str, int]

    with pytest.raises(pydantic.ValidationError) as caught:
        Model.model_validate({"x": "q", "y": {"a": "z"}})
    lines = str(ParameterTypeError.from_validation_error(caught.value)).splitlines()
    assert lines[0] == "Flow run received invalid parameters:"
    assert lines[1].startswith(" - x: ")
    assert lines[2].startswith(" - y.a: ")


def test_messages_of_errors_with_values() -> None:
    assert str(SignatureMismatchError.from_bad_params(["a"], ["b"])) == (
        "Function expects parameters ['a'] but was provided with parameters ['b']"
    )
    assert str(EventTooLarge(10, 5)) == "Event is too large to emit (10 > 5 bytes)"
    assert "'flow.py'" in str(ScriptError(ValueError("x"), "flow.py"))
    assert "PREFECT_X: bad" in str(ProfileSettingsValidationError([("PREFECT_X", "bad")]))
    assert str(ObjectNotFound(ValueError("http"), "No flow run 'a'.")) == "No flow run 'a'."
    assert "http" in str(ObjectNotFound(ValueError("http")))
    assert TerminationSignal(15).signal == 15
    assert Pause(state="s").state == "s"


def test_tracebacks_show_causes() -> None:
    try:
        try:
            raise ValueError("first")
        except ValueError as first:
            raise KeyError("second") from first
    except KeyError as error:
        text = exception_traceback(error)
    assert "ValueError: first" in text
    assert "KeyError: 'second'" in text


def test_the_http_error_shows_what_the_server_said() -> None:
    httpx = pytest.importorskip("httpx")
    request = httpx.Request("GET", "http://host/path")
    response = httpx.Response(404, json={"detail": "nope"}, request=request)
    with pytest.raises(httpx.HTTPStatusError) as caught:
        response.raise_for_status()
    error = exceptions.PrefectHTTPStatusError.from_httpx_error(caught.value)
    assert isinstance(error, httpx.HTTPStatusError)
    assert "nope" in str(error)
    assert error.response is response


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        exceptions.Nothing  # noqa: B018
