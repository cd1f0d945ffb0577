"""Every error that Prefect raises by itself.

    BaseException
     ├─ PrefectSignal                     control flow, not failures: `except Exception` lets them pass
     │   ├─ Abort                         the run is to be ended by whoever started it
     │   └─ Pause                         the run waits to be resumed
     ├─ ExternalSignal                    the operating system asks
     │   └─ TerminationSignal             SIGTERM and its like
     └─ Exception
         ├─ PrefectException
         │   ├─ CrashedRun, FailedRun, CancelledRun, PausedRun, UnfinishedRun, MissingResult     a run's result
         │   ├─ UpstreamTaskError                                                        a task's dependencies
         │   ├─ FlowPauseTimeout, FlowRunWaitTimeout, FlowRunWatchError, NotPausedError  waiting for runs
         │   ├─ ParameterTypeError, ParameterBindError*, SignatureMismatchError*,
         │   │  ReservedArgumentError* (* also TypeError)                                calling a flow or task
         │   ├─ MappingLengthMismatch, MappingMissingIterable                            task.map
         │   ├─ InvalidNameError (also ValueError)                                       names
         │   ├─ MissingFlowError, UnspecifiedFlowError, ScriptError                      finding a flow in a file
         │   ├─ MissingContextError (also RuntimeError)                                  used outside a run
         │   ├─ SerializationError, HashError, ConfigurationError                        results, transactions
         │   ├─ MissingProfileError (also ValueError), ProfileSettingsValidationError    settings
         │   ├─ ObjectNotFound, ObjectAlreadyExists, ObjectLimitReached, ObjectUnsupported   the API's answers
         │   ├─ BlockMissingCapabilities, ProtectedBlockError                            blocks
         │   ├─ InvalidRepositoryURLError                                                repositories
         │   ├─ InfrastructureError, InfrastructureNotFound, InfrastructureNotAvailable  where runs run
         │   └─ EventTooLarge                                                            events
         ├─ PrefectImportError (ImportError)                                             a missing extra
         └─ PrefectHTTPStatusError (httpx.HTTPStatusError)                               an HTTP error with its body

An error raised without a message shows the first line of its class's docstring. All of them can be pickled.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect._parsing import undisturbed

if TYPE_CHECKING:
    from typing import Self

    import httpx
    import pydantic
else:
    httpx = lazy_module("httpx")


def _docline(error: BaseException) -> str:
    """The first line of the docstring of an error's own class ('' when it has none)."""
    return (type(error).__doc__ or "").strip().partition("\n")[0]


def exception_traceback(exc: BaseException) -> str:
    """The traceback of an exception, with those of its causes, as one text."""
    return "".join(undisturbed(lambda: list(traceback.TracebackException.from_exception(exc).format())))


# ── the roots ───────────────────────────────────────────────────────────────────────────────────────────────────────


class PrefectException(Exception):
    """The root of the errors that Prefect raises."""

    def __str__(self) -> str:
        return super().__str__() if self.args else _docline(self)


class PrefectSignal(BaseException):
    """The root of the signals that steer a run; they are not failures, so `except Exception` lets them pass."""

    def __str__(self) -> str:
        return super().__str__() if self.args else _docline(self)


class ExternalSignal(BaseException):
    """The root of the signals that reach the process from outside."""


# ── how runs end ────────────────────────────────────────────────────────────────────────────────────────────────────


class CrashedRun(PrefectException):
    """The run crashed: its process or infrastructure ended before its code did; see its logs, then run it again."""


class FailedRun(PrefectException):
    """The run failed, and its result holds no exception to raise; see the message of its state and its logs."""


class CancelledRun(PrefectException):
    """The run was cancelled, so it has no result."""


class PausedRun(PrefectException):
    """The run is paused, so it has no result yet; resume it and ask again.

    Args:
        state: the paused state, if known.
    """

    def __init__(self, *args: Any, state: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.state = state


class UnfinishedRun(PrefectException):
    """The run has not finished, so it has no result yet; wait for it first."""


class MissingResult(PrefectException):
    """The result was not persisted, and is gone with the process that made it; use `persist_result=True` to keep it."""


class UpstreamTaskError(PrefectException):
    """A task on which this one depends did not complete; wrap its future in `allow_failure()` to run anyway."""


class FlowPauseTimeout(PrefectException):
    """The pause ended without anyone resuming the run; give `pause_flow_run` a longer `timeout` (seconds)."""


class FlowRunWaitTimeout(PrefectException):
    """The flow run did not finish within the time to wait; it goes on without us. Wait longer, or look at its logs."""


class FlowRunWatchError(PrefectException):
    """The flow run cannot be watched any longer; its own progress is not affected. Look it up by its id."""


class NotPausedError(PrefectException):
    """The run is not paused, so it cannot be resumed; look at its state first."""


# ── calling flows and tasks ─────────────────────────────────────────────────────────────────────────────────────────


class ParameterTypeError(PrefectException):
    """A parameter does not fit the type that the flow's signature gives it."""

    def __init__(self, msg: str) -> None:
        super().__init__(msg)

    @classmethod
    def from_validation_error(cls, exc: pydantic.ValidationError) -> Self:
        """Make the error from pydantic's, one line per faulty parameter: where it is, then why."""
        faults = [f" - {'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors()]
        return cls("\n".join(["Flow run received invalid parameters:", *faults]))


class ParameterBindError(TypeError, PrefectException):
    """The arguments do not fit the parameters of the function."""

    def __init__(self, msg: str) -> None:
        super().__init__(msg)

    @classmethod
    def from_bind_failure(
        cls, fn: Callable[..., Any], exc: TypeError, call_args: Sequence[Any], call_kwargs: Mapping[str, Any]
    ) -> Self:
        """Make the error from that of `inspect.Signature.bind`, with the signature and what was given.

        Args:
            fn: the function that was to be called.
            exc: what `bind` raised.
            call_args: the positional arguments.
            call_kwargs: the keyword arguments; the message shows their names only.
        """
        # an error path: `inspect` (several ms) has no place in the import of this module
        from inspect import signature

        shown = str(signature(fn))
        shown = shown[1 : shown.rfind(")")]
        name = getattr(fn, "__name__", repr(fn))
        return cls(
            f"Error binding parameters for function {name!r}: {exc}.\n"
            f"Function {name!r} has signature {shown!r} "
            f"but received args: {tuple(call_args)} and kwargs: {list(call_kwargs)}."
        )


class SignatureMismatchError(PrefectException, TypeError):
    """The given parameters are not those of the function."""

    def __init__(self, msg: str) -> None:
        super().__init__(msg)

    @classmethod
    def from_bad_params(cls, expected_params: Iterable[str], provided_params: Iterable[str]) -> Self:
        """Make the error from the names the function expects and the names it was given."""
        return cls(
            f"Function expects parameters {list(expected_params)} but was provided with parameters "
            f"{list(provided_params)}"
        )


class ReservedArgumentError(PrefectException, TypeError):
    """A parameter has a name that Prefect keeps for itself (`return_state`, `wait_for`); rename it."""


class MappingLengthMismatch(PrefectException):
    """The iterables given to `map` differ in length; wrap in `unmapped()` what is to be the same for every run."""


class MappingMissingIterable(PrefectException):
    """`map` was given nothing to iterate over; pass at least one list, or call the task or `submit` instead."""


class InvalidNameError(PrefectException, ValueError):
    """The name holds characters that Prefect does not allow in names; choose another."""


# ── finding flows ───────────────────────────────────────────────────────────────────────────────────────────────────


class MissingFlowError(PrefectException):
    """There is no such flow in the file or module; check the entrypoint (`path/to/file.py:function_name`)."""


class UnspecifiedFlowError(PrefectException):
    """There is more than one flow in the file; say which with an entrypoint (`path/to/file.py:function_name`)."""


class ScriptError(PrefectException):
    """A script raised while it was loaded to look for flows.

    Args:
        user_exc: what the script raised; also the attribute `user_exc`.
        path: the file.
    """

    def __init__(self, user_exc: BaseException, path: str) -> None:
        super().__init__(f"Script at {str(path)!r} encountered an exception: {user_exc!r}")
        self.user_exc = user_exc
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.user_exc, self.path)


# ── contexts, results, transactions, settings ───────────────────────────────────────────────────────────────────────


class MissingContextError(PrefectException, RuntimeError):
    """This works only inside a flow or task run; call it from a function decorated with `@flow` or `@task`."""


class SerializationError(PrefectException):
    """The object cannot be serialized, or its data cannot be read back; choose another `result_serializer`."""


class HashError(PrefectException):
    """An input cannot be hashed, so no cache key can be made of it; leave it out with `cache_policy=INPUTS - "name"`."""


class ConfigurationError(PrefectException):
    """Settings or options contradict each other."""


class MissingProfileError(PrefectException, ValueError):
    """There is no profile of that name; `prefect profile ls` shows those there are."""


class ProfileSettingsValidationError(PrefectException):
    """Settings of a profile have values that are not allowed.

    Args:
        errors: pairs of a setting and what is wrong with its value; also the attribute `errors`.
    """

    def __init__(self, errors: list[tuple[Any, Any]]) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        faults = [f"{getattr(setting, 'name', setting)}: {error}" for setting, error in self.errors]
        return "\n - ".join(["Settings of the profile are not valid; `prefect config set` corrects them:", *faults])


# ── answers of the API ──────────────────────────────────────────────────────────────────────────────────────────────


class _APIAnswerError(PrefectException):
    """An answer of the API that the client turns into an error of its own.

    `http_exc` is the error underneath (an HTTP status error, or one of the embedded API).
    """

    def __init__(self, http_exc: Exception, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.http_exc = http_exc

    def __str__(self) -> str:
        return super().__str__() if self.args else f"{_docline(self)} ({self.http_exc})"

    def __reduce__(self) -> tuple[Any, ...]:
        # without this, unpickling would call the class with the message in the place of `http_exc`
        return _rebuild_api_answer, (type(self), self.args, self.__dict__)


def _rebuild_api_answer(
    cls: type[_APIAnswerError], args: tuple[Any, ...], attributes: dict[str, Any]
) -> _APIAnswerError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class ObjectNotFound(_APIAnswerError):
    """There is no such object.

    Args:
        http_exc: the error underneath.
        help_message: what was looked for and what to do about it; shown as the error's text.
    """

    def __init__(self, http_exc: Exception, help_message: str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(http_exc, *((help_message,) if help_message else ()), *args, **kwargs)
        self.help_message = help_message

    def __str__(self) -> str:
        return self.help_message or super().__str__()


class ObjectAlreadyExists(_APIAnswerError):
    """There is such an object already; use it, change it, or choose another name."""


class ObjectLimitReached(_APIAnswerError):
    """The server's limit on the number of such objects is reached; delete some first."""


class ObjectUnsupported(_APIAnswerError):
    """The server does not support this object; it may be older than this client."""


# ── blocks, repositories, infrastructure, events ────────────────────────────────────────────────────────────────────


class BlockMissingCapabilities(PrefectException):
    """The block lacks a capability that is needed here; choose a block that has it."""


class ProtectedBlockError(PrefectException):
    """The block is protected: it belongs to the system, and cannot be changed nor deleted."""


class InvalidRepositoryURLError(PrefectException):
    """The URL is not one of a git repository; it should look like `https://host/owner/name.git`."""


class InfrastructureError(PrefectException):
    """The infrastructure of a run failed; its own logs tell more."""


class InfrastructureNotFound(PrefectException):
    """The infrastructure of the run is not there (any more)."""


class InfrastructureNotAvailable(PrefectException):
    """The infrastructure of the run cannot be reached from here."""


class EventTooLarge(PrefectException):
    """An event is larger than the server takes; shorten its payload.

    Args:
        size: of the event, in bytes.
        maximum: what is allowed, in bytes (setting `PREFECT_SERVER_EVENTS_MAXIMUM_SIZE_BYTES`).
    """

    def __init__(self, size: int, maximum: int) -> None:
        super().__init__(size, maximum)
        self.size = size
        self.maximum = maximum

    def __str__(self) -> str:
        return f"Event is too large to emit ({self.size} > {self.maximum} bytes)"


# ── signals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Abort(PrefectSignal):
    """The orchestration refuses this run: it must end now, and report nothing more."""


class Pause(PrefectSignal):
    """The run is to pause or suspend.

    Args:
        state: the paused state that the run enters, if known.
    """

    def __init__(self, *args: Any, state: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.state = state


class TerminationSignal(ExternalSignal):
    """The process was asked to end.

    Args:
        signal: the number of the signal; also the attribute `signal`.
    """

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


# ── errors of other families ────────────────────────────────────────────────────────────────────────────────────────


class PrefectImportError(ImportError):
    """A package is missing that this feature needs; the message names the extra to install."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


def _define_http_status_error() -> type[Exception]:
    """Define the one error that derives from httpx's; httpx is imported only by those who use the class."""

    class PrefectHTTPStatusError(httpx.HTTPStatusError):
        """An HTTP error of the API whose message also shows the body of the response, when it is JSON.

        Args:
            message: the text.
            request: what was sent; also the attribute `request`.
            response: what came back; also the attribute `response`.
        """

        def __init__(self, message: str, *, request: httpx.Request, response: httpx.Response) -> None:
            super().__init__(message, request=request, response=response)

        @classmethod
        def from_httpx_error(cls, httpx_error: httpx.HTTPStatusError) -> Self:
            """Make the error from httpx's own, and say in it what the server said."""
            first, *rest = str(httpx_error).split("\n")
            try:
                said = [f"Response: {httpx_error.response.json()}"]
            except ValueError:  # the body is not JSON: a page of a proxy says little and is long
                said = []
            return cls("\n".join([first, *said, *rest]), request=httpx_error.request, response=httpx_error.response)

        def __reduce__(self) -> tuple[Any, ...]:
            return _rebuild_http_status_error, (str(self), self.request, self.response)

    PrefectHTTPStatusError.__qualname__ = "PrefectHTTPStatusError"
    return PrefectHTTPStatusError


def _rebuild_http_status_error(message: str, request: httpx.Request, response: httpx.Response) -> Exception:
    return __getattr__("PrefectHTTPStatusError")(message, request=request, response=response)


def __getattr__(name: str) -> Any:
    if name == "PrefectHTTPStatusError":
        try:
            defined = globals()[name]
        except KeyError:
            try:
                defined = globals()[name] = _define_http_status_error()
            except ImportError as error:
                raise AttributeError(f"{name} needs the package 'httpx', which is not installed") from error
        return defined
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
