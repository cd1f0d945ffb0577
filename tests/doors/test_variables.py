"""Variables, on the local database and on a server, from synchronous and asynchronous code."""

from __future__ import annotations

from uuid import uuid4

import pydantic
import pytest

from prefect import flow
from prefect.variables import Variable


@pytest.fixture
def name() -> str:
    return f"v_{uuid4().hex}"


@pytest.mark.usefixtures("api")
def test_a_variable_has_what_it_was_given(name: str) -> None:
    assert Variable.set(name, {"x": [1, None]}, tags=["a"]) == Variable(name=name, value={"x": [1, None]}, tags=["a"])
    assert Variable.get(name) == {"x": [1, None]}


@pytest.mark.usefixtures("api")
def test_one_that_is_not_there_gives_the_default(name: str) -> None:
    assert Variable.get(name) is None
    assert Variable.get(name, 5) == 5


@pytest.mark.usefixtures("api")
def test_null_is_a_value(name: str) -> None:
    Variable.set(name, None)
    assert Variable.get(name, "default") is None


@pytest.mark.usefixtures("api")
def test_one_that_is_there_changes_only_when_asked_to(name: str) -> None:
    Variable.set(name, 1, tags=["a"])
    with pytest.raises(ValueError, match="overwrite=True"):
        Variable.set(name, 2)
    assert Variable.set(name, 3, overwrite=True) == Variable(name=name, value=3, tags=[])
    assert Variable.get(name) == 3


@pytest.mark.usefixtures("api")
def test_unset_says_whether_there_was_one(name: str) -> None:
    Variable.set(name, 1)
    assert Variable.unset(name) is True
    assert Variable.unset(name) is False


@pytest.mark.parametrize(("bad", "value"), [("Bad name!", 1), ("x" * 256, 1), ("fine", "v" * 6000), ("fine", object())])
@pytest.mark.usefixtures("api")
def test_what_cannot_be_a_variable_is_refused(bad: str, value: object) -> None:
    with pytest.raises(pydantic.ValidationError):
        Variable.set(bad, value)  # type: ignore[arg-type]


@pytest.mark.usefixtures("api")
async def test_from_asynchronous_code(name: str) -> None:
    await Variable.aset(name, 1)
    assert await Variable.aget(name) == 1
    await Variable.set(name, 2, overwrite=True)
    assert await Variable.get(name) == 2
    assert await Variable.aunset(name) is True


@pytest.mark.usefixtures("runs")
async def test_a_synchronous_flow_is_synchronous_code_wherever_it_runs(name: str) -> None:
    @flow
    def reads() -> int:
        Variable.set(name, 7)
        return Variable.get(name)

    assert reads() == 7
