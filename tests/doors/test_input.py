"""What flow runs are sent, on the local database and on a server, from synchronous and asynchronous code."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any
from uuid import UUID

import pydantic
import pytest

from prefect import flow, get_client, runtime
from prefect.input import RunInput, actions, keyset_from_base_key, keyset_from_paused_state, receive_input, send_input
from prefect.input.run_input import AutomaticRunInput, asend_input, run_input_subclass_from_type
from prefect.states import Completed, Paused

from .test_concurrency import in_context

DEADLINE = 30


class Order(RunInput):
    item: str
    count: int = 1


class Plain(pydantic.BaseModel):
    a: int


@flow
def receiver() -> None: ...


@pytest.fixture
def run_id(api: str) -> UUID:
    with get_client(sync_client=True) as client:
        return client.create_flow_run(receiver).id


def all_of(kind: Any, run_id: UUID, **options: Any) -> list[Any]:
    return list(receive_input(kind, timeout=0, flow_run_id=run_id, **options))


@pytest.mark.parametrize(
    ("value", "kind"),
    [(5, int), ("x", str), ([1, 2], list[int]), ({"a": None}, dict), (True, bool), (None, type(None))],
)
def test_values_of_any_type(run_id: UUID, value: Any, kind: Any) -> None:
    send_input(value, run_id)
    assert all_of(kind, run_id) == [value]
    (received,) = all_of(kind, run_id, with_metadata=True)
    assert isinstance(received, AutomaticRunInput)
    assert (received.value, received.metadata.receiver, received.metadata.sender) == (value, run_id, None)


def test_typed_values(run_id: UUID) -> None:
    Order(item="tea").send_to(run_id, sender="prefect.flow-run.x")
    send_input(Order(item="milk", count=2), run_id)
    first, second = Order.receive(timeout=0, flow_run_id=run_id)
    assert (dict(first), dict(second)) == ({"item": "tea", "count": 1}, {"item": "milk", "count": 2})
    assert first.metadata.sender == "prefect.flow-run.x" and first.metadata.key.startswith("order-auto-")


def test_values_of_plain_models(run_id: UUID) -> None:
    send_input(Plain(a=1), run_id)
    (received,) = all_of(Plain, run_id)
    assert isinstance(received, Plain) and received.a == 1


def test_values_come_by_prefix(run_id: UUID) -> None:
    send_input(1, run_id, key_prefix="here")
    send_input(2, run_id, key_prefix="there")
    assert all_of(int, run_id, key_prefix="here") == [1]


def test_nothing_comes(run_id: UUID) -> None:
    handler = receive_input(int, timeout=0.2, poll_interval=0.1, flow_run_id=run_id)
    with pytest.raises(TimeoutError):
        handler.next()
    assert list(handler) == []
    with pytest.raises(TimeoutError):
        list(receive_input(int, timeout=0, flow_run_id=run_id, raise_timeout_error=True))


def test_who_waits_is_given_what_comes(run_id: UUID) -> None:
    threading.Timer(0.2, in_context(lambda: send_input("late", run_id))).start()
    began = time.monotonic()
    assert receive_input(str, timeout=DEADLINE, poll_interval=DEADLINE, flow_run_id=run_id).next() == "late"
    assert time.monotonic() - began < DEADLINE / 2  # told, and not looked for after the interval


async def test_from_asynchronous_code(run_id: UUID) -> None:
    async def later() -> None:
        await asyncio.sleep(0.1)  # so that the other one waits
        await asend_input(Order(item="tea"), run_id)
        await send_input(Order(item="milk"), run_id)  # type: ignore[misc]

    sending = asyncio.create_task(later())
    handler = receive_input(Order, timeout=DEADLINE, flow_run_id=run_id)
    received = [(await handler.anext()).item]
    handler.timeout = 1
    received += [order.item async for order in handler]
    await sending
    assert received == ["tea", "milk"]


def test_a_value_can_be_answered(run_id: UUID) -> None:
    with get_client(sync_client=True) as client:
        asking = client.create_flow_run(receiver).id
    Order(item="tea").send_to(run_id, sender=f"prefect.flow-run.{asking}")
    order = Order.receive(timeout=0, flow_run_id=run_id).next()
    order.respond("sold out")
    assert all_of(str, asking) == ["sold out"]
    with pytest.raises(AttributeError):
        Order(item="x").respond("nobody asked")
    send_input(Order(item="from nobody"), run_id)
    with pytest.raises(RuntimeError, match="not sent by a flow run"):
        all_of(Order, run_id)[1].respond("?")


@pytest.mark.usefixtures("runs")
def test_in_a_run_the_run_is_meant() -> None:
    @flow
    def talks_to_itself() -> Any:
        actions.create_flow_run_input("k", {"a": 1})
        send_input(7, UUID(runtime.flow_run.id))
        found = receive_input(int, timeout=0, with_metadata=True).next()
        return (
            actions.read_flow_run_input("k"),
            found.value,
            found.metadata.sender == f"prefect.flow-run.{runtime.flow_run.id}",
        )

    assert talks_to_itself() == ({"a": 1}, 7, True)
    with pytest.raises(RuntimeError, match="within a flow run"):
        receive_input(int)


def test_questions_and_answers(run_id: UUID) -> None:
    keys = keyset_from_base_key("q")
    asked = Order.with_initial_data("Which one?", item="tea")
    asked.save(keys, run_id)
    schema = actions.read_flow_run_input(keys["schema"], run_id)
    assert schema["properties"]["item"]["default"] == "tea" and "required" not in schema
    assert actions.read_flow_run_input(keys["description"], run_id) == "Which one?"
    with pytest.raises(pydantic.ValidationError):
        Order.load(keys, run_id)
    actions.create_flow_run_input(keys["response"], {"item": "milk"}, run_id)
    assert Order.load(keys, run_id).item == "milk"
    assert Order.load(keys, run_id).metadata.key == "q-response"


async def test_questions_and_answers_from_asynchronous_code(run_id: UUID) -> None:
    keys = keyset_from_base_key("q")
    kind = run_input_subclass_from_type(int)
    await kind.asave(keys, run_id)
    await actions.acreate_flow_run_input(keys["response"], {"value": 3}, flow_run_id=run_id)
    assert (await kind.aload(keys, run_id)).value == 3  # type: ignore[attr-defined]
    found = await actions.afilter_flow_run_input("q-", limit=5, flow_run_id=run_id)
    assert [one.key for one in found] == ["q-schema", "q-response"]
    await actions.adelete_flow_run_input("q-schema", flow_run_id=run_id)
    assert await actions.aread_flow_run_input("q-schema", flow_run_id=run_id) is None
    await actions.acreate_flow_run_input_from_model("m", Plain(a=1), run_id)
    assert await actions.aread_flow_run_input("m", flow_run_id=run_id) == {"a": 1}


def test_actions(run_id: UUID) -> None:
    actions.create_flow_run_input_from_model("m", Plain(a=1), run_id)
    assert [one.key for one in actions.filter_flow_run_input("m", flow_run_id=run_id)] == ["m"]
    assert actions.filter_flow_run_input("m", exclude_keys={"m"}, flow_run_id=run_id) == []
    actions.delete_flow_run_input("m", run_id)
    assert actions.read_flow_run_input("m", run_id) is None


def test_keys() -> None:
    assert Order.keyset_from_type()["response"] == "order-response"
    state = Paused(pause_key="1")
    assert keyset_from_paused_state(state)["schema"] == "paused-1-schema"
    with pytest.raises(RuntimeError):
        keyset_from_paused_state(Completed())
    assert run_input_subclass_from_type(Order) is Order
