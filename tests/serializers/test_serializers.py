"""Serializers: the bytes they make, the values that come back, the errors that name what cannot be stored."""

import base64
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import threading
import uuid

import hypothesis.strategies as st
import pytest
from hypothesis import given
from pydantic import BaseModel, ValidationError

from prefect.exceptions import SerializationError
from prefect.serializers import (
    CompressedJSONSerializer,
    CompressedPickleSerializer,
    CompressedSerializer,
    JSONSerializer,
    PickleSerializer,
    Serializer,
    UnknownSerializer,
    prefect_json_object_decoder,
    prefect_json_object_encoder,
)


class Model(BaseModel):
    x: int = 1


@dataclasses.dataclass
class Data:
    a: int = 1
    day: datetime.date = datetime.date(2020, 1, 2)


class Colour(enum.Enum):
    RED = 1


class Particular(Exception):
    def __init__(self, first, second):
        super().__init__(first, second)


UTC = datetime.UTC

# the JSON text is the format in which results lie on disk: it must not change
JSON_FORMS = [
    (datetime.datetime(2020, 1, 1, tzinfo=UTC), '{"__class__": "datetime.datetime", "data": "2020-01-01T00:00:00Z"}'),
    (datetime.datetime(2020, 1, 1), '{"__class__": "datetime.datetime", "data": "2020-01-01T00:00:00"}'),
    (datetime.date(2020, 1, 1), '{"__class__": "datetime.date", "data": "2020-01-01"}'),
    (datetime.timedelta(seconds=3), '{"__class__": "datetime.timedelta", "data": "PT3S"}'),
    (uuid.UUID(int=1), '{"__class__": "uuid.UUID", "data": "00000000-0000-0000-0000-000000000001"}'),
    ({1}, '{"__class__": "builtins.set", "data": [1]}'),
    (frozenset({1}), '{"__class__": "builtins.frozenset", "data": [1]}'),
    (b"abc", '{"__class__": "builtins.bytes", "data": "abc"}'),
    (decimal.Decimal("1.5"), '{"__class__": "decimal.Decimal", "data": "1.5"}'),
    (pathlib.Path("/x"), f'{{"__class__": "pathlib.{type(pathlib.Path()).__name__}", "data": "/x"}}'),
    (1j, '{"__class__": "builtins.complex", "data": "1j"}'),
    (Model(x=3), f'{{"__class__": "{__name__}.Model", "data": {{"x": 3}}}}'),
    (Data(), f'{{"__class__": "{__name__}.Data", "data": {{"a": 1, "day": "2020-01-02"}}}}'),
    (Colour.RED, f'{{"__class__": "{__name__}.Colour", "data": 1}}'),
    ({"a": [{1}, None]}, '{"a": [{"__class__": "builtins.set", "data": [1]}, null]}'),
    ("é", '"\\u00e9"'),
]


@pytest.mark.parametrize(("value", "text"), JSON_FORMS, ids=[repr(v) for v, _ in JSON_FORMS])
def test_json_text_of_values_that_json_lacks(value, text):
    serializer = JSONSerializer()
    assert serializer.dumps(value) == text.encode()
    back = serializer.loads(text.encode())
    assert back == value
    assert type(back) is type(value)


def test_json_members_of_a_set_keep_their_types():
    value = {datetime.date(2020, 1, 1), uuid.UUID(int=7)}
    assert JSONSerializer().loads(JSONSerializer().dumps(value)) == value


def test_json_bytes_that_are_no_text():
    value = bytes(range(256))
    assert JSONSerializer().loads(JSONSerializer().dumps(value)) == value


def test_json_exception():
    blob = JSONSerializer().dumps(ZeroDivisionError("division by zero"))
    assert blob == b'{"__exc_type__": "builtins.ZeroDivisionError", "message": "division by zero"}'
    back = JSONSerializer().loads(blob)
    assert isinstance(back, ZeroDivisionError)
    assert back.args == ("division by zero",)


def test_json_exception_that_wants_other_arguments():
    back = JSONSerializer().loads(JSONSerializer().dumps(Particular(1, 2)))
    assert isinstance(back, Particular)
    assert str(back) == "(1, 2)"


def test_json_stored_exception_must_be_an_exception():
    with pytest.raises(SerializationError, match=r"os\.getcwd.*no exception"):
        prefect_json_object_decoder({"__exc_type__": "os.getcwd", "message": "x"})


def test_json_dictionary_that_looks_like_a_mark_but_is_none():
    value = {"__class__": "x", "data": 1, "more": 2}
    assert JSONSerializer().loads(JSONSerializer().dumps(value)) == value


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.sets(st.integers()),
    max_leaves=12,
)
ours = st.sampled_from([JSONSerializer(), PickleSerializer(), CompressedJSONSerializer(), CompressedPickleSerializer()])


def _marked(value):
    """Whether a dictionary of the value reads as a mark of the format."""
    if isinstance(value, dict):
        return "__class__" in value or "__exc_type__" in value or any(map(_marked, value.values()))
    return isinstance(value, list) and any(map(_marked, value))


@given(plain, ours)
def test_values_come_back(value, serializer):
    if not _marked(value):
        assert serializer.loads(serializer.dumps(value)) == value


@given(plain)
def test_plain_data_is_pickled_as_by_cloudpickle(value):
    import cloudpickle

    assert base64.decodebytes(PickleSerializer().dumps(value)) == cloudpickle.dumps(value)


def test_pickle_text():
    assert PickleSerializer().dumps({"a": [1, 2]}) == b"gAWVEAAAAAAAAAB9lIwBYZRdlChLAUsCZXMu\n"


def test_pickle_of_what_only_cloudpickle_can():
    offset = 2
    function = PickleSerializer().loads(PickleSerializer().dumps(lambda x: x + offset))
    assert function(1) == 3


def test_pickle_with_another_library():
    serializer = PickleSerializer(picklelib="pickle")
    assert serializer.loads(serializer.dumps({1})) == {1}


def test_pickle_library_of_another_version_warns():
    with pytest.warns(RuntimeWarning, match="0.0.1"):
        PickleSerializer(picklelib_version="0.0.1")


class Connection:
    def __init__(self):
        self.state = {"lock": threading.Lock()}


@pytest.mark.parametrize("serializer", [PickleSerializer(), PickleSerializer(picklelib="pickle")])
def test_pickle_error_names_the_part(serializer):
    with pytest.raises(SerializationError, match=r"\['b'\]\[1\]\.state\['lock'\], of type _thread\.lock") as caught:
        serializer.dumps({"a": 1, "b": [0, Connection()]})
    assert "result_serializer" in str(caught.value)


def test_json_error_names_the_part():
    with pytest.raises(SerializationError, match=r"\['a'\]\[0\], of type builtins\.object"):
        JSONSerializer().dumps({"a": [object()]})


def test_json_error_does_not_look_into_functions():
    with pytest.raises(SerializationError, match=r"\[0\], of type builtins\.function"):
        JSONSerializer().dumps([lambda: 1])


def test_json_with_orjson():
    serializer = JSONSerializer(jsonlib="orjson")
    assert serializer.loads(serializer.dumps({"a": {1}})) == {"a": {1}}


def test_json_options():
    serializer = JSONSerializer(dumps_kwargs={"indent": 1}, loads_kwargs={"parse_int": str})
    assert serializer.loads(serializer.dumps([1])) == ["1"]
    with pytest.raises(ValidationError, match="object_encoder"):
        JSONSerializer(dumps_kwargs={"default": str})
    with pytest.raises(ValidationError, match="object_decoder"):
        JSONSerializer(loads_kwargs={"object_hook": dict})


def shout(obj):
    return f"{obj}!"


def test_json_with_own_functions():
    serializer = JSONSerializer(object_encoder=f"{__name__}.shout", object_decoder=None)
    assert serializer.loads(serializer.dumps([uuid.UUID(int=0)])) == ["00000000-0000-0000-0000-000000000000!"]


def test_json_without_functions():
    with pytest.raises(SerializationError):
        JSONSerializer(object_encoder=None).dumps({1})


def test_compressed_text():
    serializer = CompressedSerializer(serializer="json", compressionlib="zlib")
    assert serializer.dumps([1, 2]) == b"eJyLNtRRMIoFAATuAWg=\n"
    assert serializer.loads(b"eJyLNtRRMIoFAATuAWg=\n") == [1, 2]


def test_compressed_types():
    assert CompressedJSONSerializer().serializer == JSONSerializer()
    assert CompressedPickleSerializer().serializer == PickleSerializer()
    assert CompressedSerializer(serializer={"type": "json"}).serializer == JSONSerializer()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PickleSerializer(picklelib="nope"), "'nope' cannot be imported"),
        (lambda: PickleSerializer(picklelib="math"), "no function 'dumps'"),
        (lambda: CompressedSerializer(serializer="json", compressionlib="nope"), "'nope' cannot be imported"),
        (lambda: CompressedSerializer(serializer="json", compressionlib="json"), "no function 'compress'"),
        (lambda: CompressedSerializer(serializer="nope"), "No serializer has the type 'nope'"),
        (lambda: CompressedSerializer(), "serializer"),
        (lambda: JSONSerializer(unknown=1), "Extra inputs"),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(ValidationError, match=message):
        make()


# ── dispatch ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "cls"),
    [
        ("json", JSONSerializer),
        ("pickle", PickleSerializer),
        ("compressed/json", CompressedJSONSerializer),
        ("compressed/pickle", CompressedPickleSerializer),
    ],
)
def test_base_makes_the_class_of_a_type(key, cls):
    assert type(Serializer(type=key)) is cls
    assert type(Serializer.model_validate({"type": key})) is cls


def test_base_passes_options():
    assert Serializer(type="json", jsonlib="orjson").jsonlib == "orjson"
    assert Serializer(type="compressed", serializer="json").serializer == JSONSerializer()


def test_unknown_type_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'nope'.*compressed/json.*json.*pickle"):
        Serializer(type="nope")


def test_own_serializer():
    class Upper(Serializer):
        type: str = "test-upper"

        def dumps(self, obj):
            return obj.upper().encode()

        def loads(self, blob):
            return blob.decode()

    assert Serializer(type="test-upper").dumps("a") == b"A"


def test_own_serializer_needs_a_type():
    with pytest.raises(TypeError, match="Typeless"):

        class Typeless(Serializer):
            def dumps(self, obj): ...
            def loads(self, blob): ...


def test_serializer_as_a_field():
    class Holder(BaseModel):
        serializer: Serializer

    assert Holder(serializer={"type": "json"}).serializer == JSONSerializer()


def test_unknown_serializer_is_shown_but_not_used():
    serializer = UnknownSerializer(type="far-away")
    assert serializer.type == "far-away"
    with pytest.raises(NotImplementedError, match="far-away"):
        serializer.dumps(1)
    with pytest.raises(NotImplementedError, match="far-away"):
        serializer.loads(b"")


def test_encoder_and_decoder_are_inverse():
    form = prefect_json_object_encoder(Model(x=5))
    assert json.loads(json.dumps(form)) == form
    assert prefect_json_object_decoder(form) == Model(x=5)
