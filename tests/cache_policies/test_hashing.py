"""Hashes: fixed digests, equal in every process; errors that name the object."""

import dataclasses
import datetime
import hashlib
import pickle
import subprocess
import sys
import threading
import uuid

import hypothesis.strategies as st
import pytest
from hypothesis import given
from pydantic import BaseModel

from prefect.exceptions import HashError
from prefect.utilities.hashing import file_hash, hash_objects, stable_hash


# digests name cached results on disk: they must not change
@pytest.mark.parametrize(
    ("value", "digest"),
    [
        (1, "c94f21d5cf1b165e0db41180a1fd8353"),
        ("a", "3b59ba4a5704f51bbf4af27c181b1ba6"),
        (b"a", "96d3b500adab3288f55f403b7d6da4ab"),
        (b"\x97\x00\xff", hashlib.md5(pickle.dumps(((b"\x97\x00\xff",), {}), 5)).hexdigest()),
        (None, "896285e3f355f3080d055451c2969483"),
        ([1, 2], "7bc787ce29f7d4c162493646de25f777"),
        ((1, 2), "7bc787ce29f7d4c162493646de25f777"),
        ({"b": 2, "a": 1}, "1eda3722b3639ef1264c554c32f7dd4e"),
        ({1, 2}, "1f02041d99eec8ee1b44803f55f808a2"),
        (datetime.datetime(2020, 1, 1), "d6a7c43e024493a49a034534469fec40"),
        (uuid.UUID(int=1), "1a7ba8e7c0174a20dc57a5940c28ab33"),
        (1.5, "85134395d236685a133d638267a5609a"),
        (print, "6a16bb9e7695a43e591e95a33fe0b47c"),
    ],
)
def test_digests(value, digest):
    assert hash_objects(value) == digest


def test_arguments():
    assert hash_objects(1, a=2) == "de71ac182e2f0d027f0109c82d9b65b0"
    assert hash_objects(a=1, b=2) == hash_objects(b=2, a=1)
    assert hash_objects(1, hash_algo=hashlib.sha256).startswith("5fe70d807d16107a")


def test_stable_hash():
    assert stable_hash("a") == "0cc175b9c0f1b6a831c399e269772661"
    assert stable_hash("a", "b") == stable_hash(b"ab")


def test_file_hash(tmp_path):
    (tmp_path / "f").write_bytes(b"hello")
    assert file_hash(tmp_path / "f") == file_hash(str(tmp_path / "f")) == "5d41402abc4b2a76b9719d911017c592"
    assert file_hash(tmp_path / "f", hash_algo=hashlib.sha1) == "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"


IN_ANOTHER_PROCESS = """
import string
from prefect.utilities.hashing import hash_objects

class Thing:
    def __init__(self):
        self.names = {"x", "y", "z"}
        self.by_pair = {("a", 1): frozenset("abc"), None: b"x"}

def closure(words=frozenset({"p", "q", "r"})):
    return lambda word: word in words and word in {"s", "t", "u"}

print(hash_objects({"x", "y", "z"}, frozenset("abcdef"), {"k": {("t", 1), ("u", 2)}}))
print(hash_objects({"a": {"x", "y", "z"}, "f": print, "c": Exception, "t": string.Template("$x")}))
print(hash_objects([Thing()]))
print(hash_objects(closure()))
print(hash_objects(lambda: 1))
"""


def test_equal_in_another_process():
    code = IN_ANOTHER_PROCESS
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(digests) == 1


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.floats(allow_nan=False))))
def test_order_of_keys_does_not_matter(mapping):
    assert hash_objects(mapping) == hash_objects(dict(reversed(mapping.items())))


@given(st.sets(st.integers() | st.text() | st.dates()))
def test_sets_have_no_order(members):
    assert hash_objects(members) == hash_objects({*sorted(members, key=repr, reverse=True)})


@given(st.lists(st.integers()), st.lists(st.integers()))
def test_different_values_have_different_hashes(first, second):
    assert (hash_objects(first) == hash_objects(second)) == (first == second)


def test_models_and_dataclasses():
    class Model(BaseModel):
        x: int

    @dataclasses.dataclass
    class Data:
        x: int

    assert hash_objects(Model(x=1)) == hash_objects(Model(x=1)) != hash_objects(Model(x=2))
    assert hash_objects(Data(1)) == hash_objects(Data(1)) != hash_objects(Data(2))


def test_what_cannot_be_hashed():
    value = {"a": [threading.Lock()]}
    assert hash_objects(value) is None
    with pytest.raises(HashError, match=r"args.*\['a'\]\[0\], of type _thread\.lock"):
        hash_objects(value, raise_on_failure=True)
    with pytest.raises(HashError, match=r"kwargs\['conn'\]"):
        hash_objects(conn=threading.Lock(), raise_on_failure=True)


def test_plain_data_needs_no_pydantic():
    code = (
        "import sys; from prefect.utilities.hashing import hash_objects; hash_objects({'a': [1, {2}]}, b=b'x');"
        "print([m for m in ('pydantic', 'pydantic_core', 'cloudpickle') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Bag:
    def __init__(self, *names):
        self.names = set(names)


def test_objects_with_sets():
    assert hash_objects(Bag("a", "b")) == hash_objects(Bag("b", "a")) != hash_objects(Bag("a", "c"))


def test_objects_with_sets_that_go_round_in_circles():
    bag = Bag("a")
    bag.itself = bag
    assert hash_objects(bag) is not None
