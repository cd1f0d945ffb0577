"""Match the arguments of a call to the parameters of a function, and back.

The form in which a run carries its arguments is a dict from parameter name to value, in signature order and with
defaults filled in: `*args` is one tuple under its own name, `**kwargs` one dict under its own name.

`inspect.Signature.bind` takes several microseconds a call, more than the rest of a short task's bookkeeping. The common
cases are therefore bound by hand from a plain function's code object; `inspect` is asked only for callables that are not
plain functions and for the words of an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect._parameters.annotations import names_around
from prefect.exceptions import ParameterBindError, SignatureMismatchError

if TYPE_CHECKING:
    import inspect
else:
    inspect = lazy_module("inspect")

_VARARGS, _VARKEYWORDS = 0x04, 0x08  # CO_VARARGS and CO_VARKEYWORDS of the code object's flags


class FunctionSpec:
    """What a run needs to know about the parameters of a function, worked out once and cheaply.

    Attributes:
        fn: the function.
        names: all parameter names in signature order, `*args` and `**kwargs` included.
        positional: names that may be given by position.
        positional_only: how many of `positional` may not be given by name.
        keyword_only: names that may only be given by name.
        defaults: default values by name, in signature order.
        var_positional: the name of the `*args` parameter, or None.
        var_keyword: the name of the `**kwargs` parameter, or None.
        local_names: what the names in annotations mean where a local function was defined, if not to be found otherwise.
    """

    __slots__ = (
        "_plain",
        "_signature",
        "defaults",
        "fn",
        "keyword_only",
        "local_names",
        "names",
        "positional",
        "positional_only",
        "validator",
        "var_keyword",
        "var_positional",
    )

    fn: Callable[..., Any]
    names: tuple[str, ...]
    positional: tuple[str, ...]
    positional_only: int
    keyword_only: tuple[str, ...]
    defaults: dict[str, Any]
    var_positional: str | None
    var_keyword: str | None
    local_names: dict[str, Any] | None
    validator: Any  # filled and used by `prefect._parameters.validation`

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn
        self.validator = None
        self._signature: inspect.Signature | None = None
        target, bound = (fn.__func__, 1) if isinstance(fn, MethodType) else (fn, 0)
        if type(target) is FunctionType and not (target.__dict__ and _disguised(target)):
            self._read_code(target, bound)
        else:
            self._read_signature()
        self.local_names = names_around(target) if type(target) is FunctionType else None
        self._plain = not (self.positional_only or self.var_positional or self.var_keyword)

    def _read_code(self, fn: FunctionType, bound: int) -> None:
        code = fn.__code__
        variables, count, end = code.co_varnames, code.co_argcount, code.co_argcount + code.co_kwonlyargcount
        if bound and not count:  # `def method(*args)`: the instance travels in *args
            bound = 0
        positional = variables[:count]
        self.keyword_only = variables[count:end]
        self.var_positional = self.var_keyword = None
        if code.co_flags & _VARARGS:
            self.var_positional = variables[end]
            end += 1
        if code.co_flags & _VARKEYWORDS:
            self.var_keyword = variables[end]
        defaults: dict[str, Any] = {}
        if fn.__defaults__:
            defaults.update(zip(positional[-len(fn.__defaults__) :], fn.__defaults__, strict=True))
            if bound:
                defaults.pop(positional[0], None)
        if fn.__kwdefaults__:
            defaults.update({name: fn.__kwdefaults__[name] for name in self.keyword_only if name in fn.__kwdefaults__})
        self.positional = positional[bound:]
        self.positional_only = max(code.co_posonlyargcount - bound, 0)
        self.defaults = defaults
        self._join_names()

    def _read_signature(self) -> None:
        positional: list[str] = []
        keyword_only: list[str] = []
        self.positional_only = 0
        self.var_positional = self.var_keyword = None
        self.defaults = {}
        for name, parameter in self.signature.parameters.items():
            if parameter.kind is parameter.VAR_POSITIONAL:
                self.var_positional = name
            elif parameter.kind is parameter.VAR_KEYWORD:
                self.var_keyword = name
            elif parameter.kind is parameter.KEYWORD_ONLY:
                keyword_only.append(name)
            else:
                positional.append(name)
                self.positional_only += parameter.kind is parameter.POSITIONAL_ONLY
            if parameter.default is not parameter.empty:
                self.defaults[name] = parameter.default
        self.positional = tuple(positional)
        self.keyword_only = tuple(keyword_only)
        self._join_names()

    def _join_names(self) -> None:
        star = (self.var_positional,) if self.var_positional else ()
        stars = (self.var_keyword,) if self.var_keyword else ()
        self.names = self.positional + star + self.keyword_only + stars

    @property
    def signature(self) -> inspect.Signature:
        """The function's signature, made on first use."""
        if self._signature is None:
            self._signature = inspect.signature(self.fn)
        return self._signature

    @property
    def name(self) -> str:
        """The function's name, for messages."""
        return getattr(self.fn, "__name__", None) or type(self.fn).__name__

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any], apply_defaults: bool = True) -> dict[str, Any]:
        """Return the parameters of the call `fn(*args, **kwargs)`: name -> value, in signature order.

        Args:
            args: the positional arguments.
            kwargs: the keyword arguments.
            apply_defaults: fill in the defaults of parameters that were not given (an empty tuple and dict for
                `*args` and `**kwargs`).

        Raises:
            ParameterBindError: the arguments do not fit the signature; names the function and the parameter.
        """
        if not self._plain or not apply_defaults:
            return self._bind_any(args, kwargs, apply_defaults)
        positional = self.positional
        count = len(args)
        if count > len(positional):
            raise self._bind_error(args, kwargs)
        parameters = dict(zip(positional, args))  # noqa: B905 (args may be shorter; strict= costs time)
        taken = 0
        if count != len(self.names):
            defaults = self.defaults
            for name in self.names[count:] if count else self.names:
                if name in kwargs:
                    parameters[name] = kwargs[name]
                    taken += 1
                elif name in defaults:
                    parameters[name] = defaults[name]
                else:
                    raise self._bind_error(args, kwargs)
        if taken != len(kwargs):
            raise self._bind_error(args, kwargs)
        return parameters

    def _bind_any(self, args: Sequence[Any], kwargs: Mapping[str, Any], apply_defaults: bool) -> dict[str, Any]:
        """`bind` for every kind of parameter."""
        positional, defaults = self.positional, self.defaults
        count = len(positional)
        if len(args) > count and not self.var_positional:
            raise self._bind_error(args, kwargs)
        parameters: dict[str, Any] = dict(zip(positional, args))  # noqa: B905
        rest = dict(kwargs)
        for index in range(len(args), count):
            name = positional[index]
            if index >= self.positional_only and name in rest:
                parameters[name] = rest.pop(name)
            elif name not in defaults:
                raise self._bind_error(args, kwargs)
            elif apply_defaults:
                parameters[name] = defaults[name]
        if self.var_positional and (apply_defaults or len(args) > count):
            parameters[self.var_positional] = tuple(args[count:])
        for name in self.keyword_only:
            if name in rest:
                parameters[name] = rest.pop(name)
            elif name not in defaults:
                raise self._bind_error(args, kwargs)
            elif apply_defaults:
                parameters[name] = defaults[name]
        if self.var_keyword:
            if not rest.keys().isdisjoint(positional[self.positional_only :]):
                raise self._bind_error(args, kwargs)  # given both by position and by name
            if rest or apply_defaults:
                parameters[self.var_keyword] = rest
        elif rest:
            raise self._bind_error(args, kwargs)
        return parameters

    def _bind_error(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ParameterBindError:
        try:
            self.signature.bind(*args, **kwargs)
            error = TypeError("the arguments do not fit the signature")  # a signature that is not true to the code
        except TypeError as reason:
            error = reason
        return ParameterBindError.from_bind_failure(self.fn, error, tuple(args), dict(kwargs))

    def call_args(self, parameters: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Turn the parameters of a run back into `(args, kwargs)` for the call.

        Parameters that are missing are left to the function's own defaults.

        Raises:
            SignatureMismatchError: a name in `parameters` is not a parameter of the function.
        """
        if self._plain and not self.keyword_only and tuple(parameters) == self.positional:
            return tuple(parameters.values()), {}
        if not parameters.keys() <= set(self.names):
            raise SignatureMismatchError(
                f"{self.name!r} has the parameters {list(self.names)} but was given {list(parameters)}."
            )
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        by_position = True
        for name in self.positional:
            if name not in parameters:
                by_position = False
            elif by_position:
                args.append(parameters[name])
            else:
                kwargs[name] = parameters[name]
        if self.var_positional and by_position:
            args.extend(parameters.get(self.var_positional, ()))
        for name in self.keyword_only:
            if name in parameters:
                kwargs[name] = parameters[name]
        if self.var_keyword:
            kwargs.update(parameters.get(self.var_keyword, {}))
        return tuple(args), kwargs


def _disguised(fn: FunctionType) -> bool:
    """Whether a function says that its signature is another one's (`functools.wraps`, `__signature__`)."""
    return "__wrapped__" in fn.__dict__ or "__signature__" in fn.__dict__
