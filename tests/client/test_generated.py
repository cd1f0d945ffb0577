"""The synchronous methods are those of the asynchronous source, and both are those of the contract's noun groups."""

from __future__ import annotations

import inspect

import pytest

from prefect.client._methods.__main__ import outdated, twin
from prefect.client.orchestration import PrefectClient, SyncPrefectClient

METHODS = sorted(name for name, _ in inspect.getmembers(PrefectClient, inspect.isfunction) if not name.startswith("_"))


def test_generated_files_are_current() -> None:
    assert outdated() == []


def test_a_twin_waits_for_nothing() -> None:
    source = '"""Doc."""\n\nasync def ask(self) -> int:\n    return await self.other()\n'
    assert twin("x.py", source).endswith("\ndef ask(self) -> int:\n    return self.other()\n")


@pytest.mark.parametrize("name", METHODS)
def test_both_clients_have_the_same_signatures(name: str) -> None:
    ours, twins = getattr(PrefectClient, name), getattr(SyncPrefectClient, name)
    assert str(inspect.signature(ours)) == str(inspect.signature(twins))
    assert not inspect.iscoroutinefunction(twins)
    assert ours.__doc__ == twins.__doc__ is not None
