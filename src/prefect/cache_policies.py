"""Cache policies: from what the key of a task run is made, under which its result is found again.

    @task(cache_policy=INPUTS + TASK_SOURCE)          # the same inputs and the same code
    @task(cache_policy=INPUTS - "debug")              # but not this input
    @task(cache_policy=INPUTS.configure(key_storage="/mnt/keys", isolation_level="SERIALIZABLE", lock_manager=...))

A policy whose key is None does not cache. Keys are equal in every process and on every machine.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from copy import copy
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal

from prefect._hashing import hash_objects
from prefect._lazy import lazy_module
from prefect.exceptions import HashError

if TYPE_CHECKING:
    import inspect
    from typing import Self

    from prefect.context import TaskRunContext
    from prefect.filesystems import WritableFileSystem
    from prefect.locking.protocol import LockManager
    from prefect.transactions import IsolationLevel

    KeyStorage = WritableFileSystem | str | Path
    Isolation = Literal["READ_COMMITTED", "SERIALIZABLE"] | IsolationLevel
else:
    inspect = lazy_module("inspect")  # 5 ms

__all__ = [
    "DEFAULT",
    "FLOW_PARAMETERS",
    "INPUTS",
    "NONE",
    "NO_CACHE",
    "RUN_ID",
    "TASK_SOURCE",
    "CacheKeyFnPolicy",
    "CachePolicy",
    "CompoundCachePolicy",
    "FlowParameters",
    "Inputs",
    "RunId",
    "TaskSource",
]


# what two policies that are added may not disagree on, and how the error calls it
_SHARED = {
    "key_storage": "storage locations",
    "isolation_level": "isolation levels",
    "lock_manager": "lock managers",
}


class CachePolicy:
    """The base of cache policies; a subclass computes the key.

    Args:
        key_storage: where keys are kept: a file system, a path, or the name `type/name` of a saved block; None: with
            the results.
        isolation_level: "SERIALIZABLE" lets one run with a key go at a time (with a lock manager), "READ_COMMITTED" any
            number.
        lock_manager: locks keys for "SERIALIZABLE".
    """

    _fields: tuple[str, ...] = ("key_storage", "isolation_level", "lock_manager")

    def __init__(
        self,
        key_storage: KeyStorage | None = None,
        isolation_level: Isolation | None = None,
        lock_manager: LockManager | None = None,
    ) -> None:
        self.key_storage = key_storage
        self.isolation_level = isolation_level
        self.lock_manager = lock_manager

    @classmethod
    def from_cache_key_fn(
        cls, cache_key_fn: Callable[[TaskRunContext, dict[str, Any]], str | None]
    ) -> CacheKeyFnPolicy:
        """The policy whose key a function makes from the run's context and inputs."""
        return CacheKeyFnPolicy(cache_key_fn=cache_key_fn)

    def configure(
        self,
        key_storage: KeyStorage | None = None,
        lock_manager: LockManager | None = None,
        isolation_level: Isolation | None = None,
    ) -> Self:
        """A policy like this one with other options; what is not given stays.

        Args:
            key_storage: where keys are kept.
            lock_manager: locks keys.
            isolation_level: whether runs with one key may go at the same time.
        """
        configured = copy(self)
        configured.key_storage = key_storage if key_storage is not None else self.key_storage
        configured.lock_manager = lock_manager if lock_manager is not None else self.lock_manager
        configured.isolation_level = isolation_level if isolation_level is not None else self.isolation_level
        return configured

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """The key of a task run; None: it is not cached.

        Args:
            task_ctx: the run's context, with its task and task run.
            inputs: its arguments by name.
            flow_parameters: the parameters of the flow run that it belongs to.
            kwargs: for subclasses.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `compute_key`.")

    def __add__(self, other: CachePolicy) -> CachePolicy:
        """The policy whose key is made from the keys of both.

        Raises:
            ValueError: both are configured, in different ways.
        """
        if not isinstance(other, CachePolicy):
            raise TypeError(f"Only a cache policy can be added to a cache policy, not a {type(other).__name__!r}.")
        for field, words in _SHARED.items():
            mine, theirs = getattr(self, field), getattr(other, field)
            if mine is not None and theirs is not None and mine != theirs:
                raise ValueError(f"Cannot add CachePolicies with different {words}: {mine!r} and {theirs!r}.")
        if isinstance(other, _NoCache):
            return self
        if isinstance(self, _NoCache):
            return other
        shared = {f: mine if (mine := getattr(self, f)) is not None else getattr(other, f) for f in _SHARED}
        return CompoundCachePolicy(policies=[self, other], **shared)

    def __sub__(self, other: str) -> CachePolicy:
        """The policy that does not look at the input of this name. One that looks at no inputs stays as it is."""
        if not isinstance(other, str):
            raise TypeError(
                f"Only the name of an input can be subtracted from a cache policy, as in `INPUTS - 'debug'`; got {other!r}."
            )
        return self._without(other)

    def _without(self, name: str) -> CachePolicy:
        return self

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(getattr(self, f) == getattr(other, f) for f in self._fields)

    def __hash__(self) -> int:
        return hash(type(self))  # equal policies have equal classes; the rest can change

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._fields)})"


class CacheKeyFnPolicy(CachePolicy):
    """The key that a function makes from the run's context and inputs."""

    _fields = (*CachePolicy._fields, "cache_key_fn")

    def __init__(
        self,
        key_storage: KeyStorage | None = None,
        isolation_level: Isolation | None = None,
        lock_manager: LockManager | None = None,
        cache_key_fn: Callable[[TaskRunContext, dict[str, Any]], str | None] | None = None,
    ) -> None:
        super().__init__(key_storage, isolation_level, lock_manager)
        self.cache_key_fn = cache_key_fn

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """The function's answer."""
        return self.cache_key_fn(task_ctx, inputs) if self.cache_key_fn is not None else None


class CompoundCachePolicy(CachePolicy):
    """A key made from the keys of several policies. Input policies among them become one."""

    _fields = (*CachePolicy._fields, "policies")

    def __init__(
        self,
        key_storage: KeyStorage | None = None,
        isolation_level: Isolation | None = None,
        lock_manager: LockManager | None = None,
        policies: Iterable[CachePolicy] = (),
    ) -> None:
        super().__init__(key_storage, isolation_level, lock_manager)
        self.policies = _merged(policies)

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """The hash of the policies' keys; None if none of them has one."""
        keys = [
            key
            for policy in self.policies
            if (key := policy.compute_key(task_ctx, inputs, flow_parameters, **kwargs)) is not None
        ]
        return hash_objects(*keys, raise_on_failure=True) if keys else None

    def _without(self, name: str) -> CompoundCachePolicy:
        changed = copy(self)
        changed.policies = [policy._without(name) for policy in self.policies]
        return changed


def _merged(policies: Iterable[CachePolicy]) -> list[CachePolicy]:
    """Policies without nesting, the one about inputs last."""
    flat: list[CachePolicy] = []
    for policy in policies:
        flat.extend(policy.policies if isinstance(policy, CompoundCachePolicy) else [policy])
    others = [policy for policy in flat if type(policy) is not Inputs]
    about_inputs = [policy for policy in flat if type(policy) is Inputs]
    if not about_inputs:
        return others
    exclude = list(dict.fromkeys(name for policy in about_inputs for name in policy.exclude))
    return [*others, Inputs(exclude=exclude)]


class _NoCache(CachePolicy):
    """No key: every run does its work."""

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> None:
        return None


_sources: weakref.WeakKeyDictionary[Callable[..., Any], str | None] = weakref.WeakKeyDictionary()


def _source_key(function: Callable[..., Any]) -> str | None:
    """The hash of a function's source text, else of its byte code; None if it has neither."""
    try:
        text: str | bytes | None = inspect.getsource(function)
    except (TypeError, OSError):
        code = getattr(inspect.unwrap(function), "__code__", None)
        text = code.co_code if code is not None else None
    return hash_objects(text) if text is not None else None


class TaskSource(CachePolicy):
    """The source code of the task, without that of what it calls."""

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """The hash of the source text; of the byte code where there is none."""
        if not task_ctx:
            return None
        function = task_ctx.task.fn
        if not isinstance(function, FunctionType):
            return _source_key(function)
        if function not in _sources:
            _sources[function] = _source_key(function)
        return _sources[function]


class FlowParameters(CachePolicy):
    """The parameters of the flow run that the task run belongs to."""

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """The hash of the parameters; None if there are none."""
        return _hash_values(flow_parameters, "flow parameter") if flow_parameters else None


class RunId(CachePolicy):
    """The flow run that the task run belongs to; outside a flow, the task run itself."""

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """The id of the run."""
        if not task_ctx:
            return None
        run = task_ctx.task_run
        return str(run.flow_run_id or run.id)


class Inputs(CachePolicy):
    """The inputs of the task run.

    Args:
        exclude: names of inputs that are not looked at.
    """

    _fields = (*CachePolicy._fields, "exclude")

    def __init__(
        self,
        key_storage: KeyStorage | None = None,
        isolation_level: Isolation | None = None,
        lock_manager: LockManager | None = None,
        exclude: Iterable[str] = (),
    ) -> None:
        super().__init__(key_storage, isolation_level, lock_manager)
        self.exclude = list(exclude)

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """The hash of the inputs; None if there are none.

        Raises:
            ValueError: an input cannot be hashed; the error names it.
        """
        counted = {name: _stable(value) for name, value in (inputs or {}).items() if name not in self.exclude}
        if inputs and not counted:  # all are left out on purpose: one result for the task, whatever it is given
            return hash_objects({}, task_ctx.task.task_key if task_ctx else None)
        return _hash_values(counted, "input") if counted else None

    def _without(self, name: str) -> Inputs:
        changed = copy(self)
        changed.exclude = [*self.exclude, name] if name not in self.exclude else list(self.exclude)
        return changed


def _stable(value: Any) -> Any:
    """What stands for an input in the key: of a flow or task, its name and code (the object has changing parts)."""
    if type(value).__module__ in ("prefect.flows", "prefect.tasks") and callable(getattr(value, "fn", None)):
        return [type(value).__name__, value.name, _source_key(value.fn)]
    return value


def _hash_values(values: dict[str, Any], kind: str) -> str | None:
    try:
        return hash_objects(values, raise_on_failure=True)
    except HashError as exc:
        raise ValueError(_unhashable(kind, values, exc)) from None  # the message says all that the causes say


def _unhashable(kind: str, values: dict[str, Any], error: HashError) -> str:
    """Which of the values cannot be hashed, why, and what to do."""
    for name, value in values.items():
        try:
            hash_objects(value, raise_on_failure=True)
        except HashError as cause:
            return _explain(kind, name, value, cause)
    return f"The cache key cannot be computed: {error}"


def _explain(kind: str, name: str, value: Any, cause: HashError) -> str:
    detail = str(cause).replace("args[0]", name, 1)
    return (
        f"The cache key cannot be computed from the {kind} {name!r}, of type {type(value).__qualname__!r}: {detail}\n"
        "Objects such as locks, connections and open files have no value to compare. What you can do:\n"
        f"  1. leave it out of the key: `cache_policy=INPUTS - {name!r}`\n"
        "  2. make the key yourself: `cache_key_fn=...`\n"
        "  3. do not cache: `cache_policy=NO_CACHE`"
    )


INPUTS = Inputs()
NO_CACHE = _NoCache()
NONE = NO_CACHE
TASK_SOURCE = TaskSource()
FLOW_PARAMETERS = FlowParameters()
RUN_ID = RunId()
DEFAULT = INPUTS + TASK_SOURCE + RUN_ID
