"""Helpers of the behaviour suite: one body for sync and async, marks, and a log recorder."""

import ast
import asyncio
import inspect
import logging
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from _pytest.assertion.rewrite import rewrite_asserts

import prefect

PEER = "pluperfect" not in prefect.__version__


def ours_better(reason: str) -> pytest.MarkDecorator:
    """Mark a scenario that the peer fails and we do not; `reason` says what the peer does.

    Set BEHAVIOUR_DIFFERENCES=1 to run these on the peer too, and see them fail.
    """
    return pytest.mark.skipif(PEER and not os.environ.get("BEHAVIOUR_DIFFERENCES"), reason=reason)


class _ToSync(ast.NodeTransformer):
    """Rewrite an async test into its sync twin: drop `async` and `await`, rename the twins of the public API."""

    names = {
        "aresult": "result",
        "asleep": "sleep",
        "atransaction": "transaction",
        "avisualize": "visualize",
        "asend": "send",
        "athrow": "throw",
        "aclose": "close",
        "anext": "next",
        "StopAsyncIteration": "StopIteration",
        "asyncify": "syncify",
        "arun": "run",
        "acollect": "collect",
        "await_for_lock": "wait_for_lock",
        "MODE": "SYNC_MODE",
    }

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        fields = {name: getattr(node, name) for name in ast.FunctionDef._fields if hasattr(node, name)}
        return self.generic_visit(ast.copy_location(ast.FunctionDef(**fields), node))

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return self.visit(node.value)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        fields = {name: getattr(node, name) for name in ast.For._fields if hasattr(node, name)}
        return self.generic_visit(ast.copy_location(ast.For(**fields), node))

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        fields = {name: getattr(node, name) for name in ast.With._fields if hasattr(node, name)}
        return self.generic_visit(ast.copy_location(ast.With(**fields), node))

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.is_async = 0
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        node.attr = self.names.get(node.attr, node.attr)
        return self.generic_visit(node)


def both(test: Callable[..., Any]) -> Callable[..., Any]:
    """Run an async test also in sync form, made from the same source (`test_x` and `test_x__sync`).

    Must be the outermost decorator of a module-level `async def`.
    """
    lines, first = inspect.getsourcelines(test)
    source = "".join(lines)
    tree = ast.parse(source)
    function = tree.body[0]
    assert isinstance(function, ast.AsyncFunctionDef)
    function.decorator_list = [
        node for node in function.decorator_list if not (isinstance(node, ast.Name) and node.id == "both")
    ]
    function.name += "__sync"
    tree = ast.fix_missing_locations(_ToSync().visit(tree))
    ast.increment_lineno(tree, first - 1)
    rewrite_asserts(tree, source.encode(), test.__code__.co_filename)
    exec(compile(tree, test.__code__.co_filename, "exec", dont_inherit=True), test.__globals__)
    return test


MODE, SYNC_MODE = "async", "sync"
sleep = time.sleep
asleep = asyncio.sleep


async def arun(value: Any) -> Any:
    """The awaiting twin of `run`."""
    return await value


def run(value: Any) -> Any:
    """Return what a sync call returned."""
    return value


async def acollect(generator: Any) -> list[Any]:
    """All items of an async generator."""
    return [item async for item in generator]


def collect(generator: Any) -> list[Any]:
    """All items of a generator."""
    return list(generator)


class Recorder(logging.Handler):
    """Keep the records of the run loggers, whatever the console configuration is."""

    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]

    def of(self, logger: str) -> list[str]:
        """The messages whose logger's name starts with `logger`."""
        return [record.getMessage() for record in self.records if record.name.startswith(logger)]


class Boom(Exception):
    """The error that scenarios raise on purpose."""


class Calls(list):
    """A list that counts: `calls("a")` appends and returns how many there are."""

    def __call__(self, item: Any = None) -> int:
        self.append(item)
        return len(self)
