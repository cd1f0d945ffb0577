"""Functions and their parameters: binding, calling, mapping and describing them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from prefect._lazy import lazy_attributes, lazy_module
from prefect._parameters.binding import FunctionSpec
from prefect._parameters.mapping import collapse_variadic, expand_mapping, explode_variadic
from prefect.exceptions import ReservedArgumentError

if TYPE_CHECKING:
    import cloudpickle

    from prefect._entrypoints import parameter_schema_from_entrypoint
    from prefect._parameters import docstrings, schema
    from prefect._parameters.schema import ParameterSchema, parameter_schema
    from prefect._parameters.schema_v1 import create_v1_schema, process_v1_params
else:
    cloudpickle = lazy_module("cloudpickle")
    docstrings = lazy_module("prefect._parameters.docstrings")
    schema = lazy_module("prefect._parameters.schema")

__getattr__, __dir__, _ = lazy_attributes(
    __name__,
    {
        "ParameterSchema": "prefect._parameters.schema",
        "create_v1_schema": "prefect._parameters.schema_v1",
        "parameter_schema": "prefect._parameters.schema",
        "parameter_schema_from_entrypoint": "prefect._entrypoints",
        "process_v1_params": "prefect._parameters.schema_v1",
    },
)

__all__ = [
    "ParameterSchema",
    "call_with_parameters",
    "cloudpickle_wrapped_call",
    "collapse_variadic_parameters",
    "create_v1_schema",
    "expand_mapping_parameters",
    "explode_variadic_parameter",
    "generate_parameter_schema",
    "get_call_parameters",
    "get_parameter_defaults",
    "parameter_docstrings",
    "parameter_schema",
    "parameter_schema_from_entrypoint",
    "parameters_to_args_kwargs",
    "process_v1_params",
    "raise_for_reserved_arguments",
]

R = TypeVar("R")


def get_call_parameters(
    fn: Callable[..., Any], call_args: tuple[Any, ...], call_kwargs: dict[str, Any], apply_defaults: bool = True
) -> dict[str, Any]:
    """Return the parameters of the call `fn(*call_args, **call_kwargs)` by name, in signature order.

    Args:
        fn: the function.
        call_args: its positional arguments.
        call_kwargs: its keyword arguments.
        apply_defaults: fill in the parameters that are not given.

    Returns:
        name -> value; `*args` is a tuple and `**kwargs` a dict under its own name.

    Raises:
        ParameterBindError: the arguments do not fit the function.
    """
    return FunctionSpec(fn).bind(call_args, call_kwargs, apply_defaults)


def get_parameter_defaults(fn: Callable[..., Any]) -> dict[str, Any]:
    """Return the default values of a function's parameters by name."""
    return dict(FunctionSpec(fn).defaults)


def explode_variadic_parameter(fn: Callable[..., Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with the items of `**kwargs` beside the others."""
    return explode_variadic(FunctionSpec(fn), parameters)


def collapse_variadic_parameters(fn: Callable[..., Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Undo `explode_variadic_parameter`.

    Raises:
        ValueError: there are parameters that the function does not have, and it takes no `**kwargs`.
    """
    return collapse_variadic(FunctionSpec(fn), parameters)


def parameters_to_args_kwargs(
    fn: Callable[..., Any], parameters: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and keyword arguments of a call with these parameters; undoes `get_call_parameters`.

    Raises:
        SignatureMismatchError: a name is not a parameter of the function.
    """
    return FunctionSpec(fn).call_args(parameters)


def call_with_parameters(fn: Callable[..., R], parameters: dict[str, Any]) -> R:
    """Call a function with parameters in the form that `get_call_parameters` gives.

    Raises:
        SignatureMismatchError: a name is not a parameter of the function.
    """
    args, kwargs = parameters_to_args_kwargs(fn, parameters)
    return fn(*args, **kwargs)


def expand_mapping_parameters(func: Callable[..., Any], parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters of each call that a map of the function over these parameters makes.

    Raises:
        MappingMissingIterable: nothing is iterable.
        MappingLengthMismatch: the iterables differ in length.
    """
    return expand_mapping(FunctionSpec(func), parameters)


def cloudpickle_wrapped_call(__fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[[], bytes]:
    """Return the call as a function that can be sent to another process.

    Function and arguments travel pickled by cloudpickle, so that they need not be importable there.

    Returns:
        A function without parameters, to be pickled by `pickle`, that makes the call and returns its result, pickled by cloudpickle.
    """
    return partial(_run_pickled_call, cloudpickle.dumps((__fn, args, kwargs)))


def _run_pickled_call(payload: bytes) -> bytes:
    fn, args, kwargs = cloudpickle.loads(payload)
    result = fn(*args, **kwargs)
    if inspect.isawaitable(result):
        # the other process has no event loop of ours
        from prefect._bridge import run_coro_as_sync

        result = run_coro_as_sync(_awaited(result))
    return cloudpickle.dumps(result)


async def _awaited(value: Any) -> Any:
    return await value


def parameter_docstrings(docstring: str | None) -> dict[str, str]:
    """Return what a docstring in the style of Google, NumPy or Sphinx says of each parameter."""
    return docstrings.parameter_descriptions(docstring)


def generate_parameter_schema(signature: inspect.Signature, docstrings: dict[str, str]) -> ParameterSchema:
    """Describe the parameters of a signature whose annotations are evaluated.

    Args:
        signature: the signature.
        docstrings: the description of each parameter.
    """
    return schema.schema_of_parameters(signature.parameters.values(), docstrings)


def raise_for_reserved_arguments(fn: Callable[..., Any], reserved_arguments: Iterable[str]) -> None:
    """Refuse a function that has a parameter of a reserved name.

    Raises:
        ReservedArgumentError: it has; names the parameter.
    """
    names = FunctionSpec(fn).names
    for argument in reserved_arguments:
        if argument in names:
            raise ReservedArgumentError(f"{argument!r} is a reserved argument name and cannot be used.")
