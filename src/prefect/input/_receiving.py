"""Waiting for what a flow run is sent."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from prefect._bridge import run
from prefect._engine.port import ASYNC, SYNC, Port
from prefect.client.utilities import async_client, sync_client
from prefect.input import _records

if TYPE_CHECKING:
    from prefect._schemas.flow_runs import FlowRunInput

T = TypeVar("T")

_WAIT_SECONDS = 20.0
"""How long one request may be kept by the API: shorter than what clients and proxies bear."""


class GetInputHandler(Generic[T]):
    """Gives the values that a flow run is sent, one after the other. Made by `receive_input` and `RunInput.receive`."""

    def __init__(
        self,
        run_input_cls: Any,
        key_prefix: str,
        timeout: float | None = 3600,
        poll_interval: float = 10,
        raise_timeout_error: bool = False,
        exclude_keys: set[str] | None = None,
        flow_run_id: UUID | None = None,
    ) -> None:
        self.run_input_cls = run_input_cls
        self.key_prefix = key_prefix
        self.timeout = timeout
        self.poll_interval = poll_interval
        self.exclude_keys: set[str] = set(exclude_keys or ())
        self.raise_timeout_error = raise_timeout_error
        self.flow_run_id = _records.ensure_flow_run_id(flow_run_id)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        try:
            return self.next()
        except TimeoutError:
            if self.raise_timeout_error:
                raise
            raise StopIteration from None

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        try:
            return await self.anext()
        except TimeoutError:
            if self.raise_timeout_error:
                raise
            raise StopAsyncIteration from None

    def to_instance(self, flow_run_input: FlowRunInput) -> T:
        """The value that the API keeps in `flow_run_input`."""
        return self.run_input_cls.load_from_flow_run_input(flow_run_input)

    async def filter_for_inputs(self) -> list[FlowRunInput]:
        """What has come and was not given yet, for asynchronous code."""
        async with async_client() as api:
            return await self._look(api)

    def filter_for_inputs_sync(self) -> list[FlowRunInput]:
        """What has come and was not given yet."""
        with sync_client() as api:
            return run(self._look(api))

    def next(self) -> T:
        """The next value.

        Raises:
            TimeoutError: none came in time.
        """
        with sync_client() as api:
            return run(self._next(SYNC, api))

    async def anext(self) -> T:
        """`next` for asynchronous code."""
        async with async_client() as api:
            return await self._next(ASYNC, api)

    async def _look(self, api: Any, **options: Any) -> list[FlowRunInput]:
        return await _records.find(api, self.key_prefix, 1, self.exclude_keys, self.flow_run_id, **options)

    async def _next(self, io: Port, api: Any) -> T:
        began = time.monotonic()
        while True:
            asked = time.monotonic()
            left = _WAIT_SECONDS if self.timeout is None else self.timeout - (asked - began)
            kept = max(min(left, _WAIT_SECONDS), 0.0)
            found = await self._look(api, wait_seconds=kept)
            if found:
                self.exclude_keys.add(found[0].key)
                return self.to_instance(found[0])
            moment = time.monotonic()
            left = None if self.timeout is None else self.timeout - (moment - began)
            if left is not None and left <= 0:
                raise TimeoutError("Timed out waiting for input")
            if moment - asked < kept:  # this API keeps no request
                await io.sleep(self.poll_interval if left is None else min(self.poll_interval, left))


class GetAutomaticInputHandler(GetInputHandler[T]):
    """As `GetInputHandler`, for values of any type."""

    def __init__(self, *args: Any, with_metadata: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.with_metadata = with_metadata

    def to_instance(self, flow_run_input: FlowRunInput) -> Any:
        received = self.run_input_cls.load_from_flow_run_input(flow_run_input)
        return received if self.with_metadata else received.value
