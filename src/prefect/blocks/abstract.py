"""What blocks of one kind have in common, for integrations to derive from: credentials, jobs, notifications,
databases, object storages, secrets.

Methods may be synchronous or asynchronous in a subclass.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Generic, TypeVar

from prefect.blocks.core import Block
from prefect.exceptions import MissingContextError
from prefect.logging.loggers import get_logger, get_run_logger

if TYPE_CHECKING:
    from typing import Self

    Logger = logging.Logger | logging.LoggerAdapter[Any]

T = TypeVar("T")

__all__ = [
    "CredentialsBlock",
    "DatabaseBlock",
    "JobBlock",
    "JobRun",
    "NotificationBlock",
    "NotificationError",
    "ObjectStorageBlock",
    "SecretBlock",
]


def _logger_for(owner: object) -> Logger:
    """The logger of the run that is current, else one with the name of the owner's class."""
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger(type(owner).__name__)


class _LoggingBlock(Block, ABC):
    """A block with a logger."""

    @property
    def logger(self) -> Logger:
        """The logger of the run that uses the block; outside a run, one with the name of the block's class."""
        return _logger_for(self)


class CredentialsBlock(_LoggingBlock, ABC):
    """What is needed to log in to a service."""

    @abstractmethod
    def get_client(self, *args: Any, **kwargs: Any) -> Any:
        """A client of the service, logged in."""


class NotificationError(Exception):
    """A message could not be sent.

    Args:
        log: what the service, or the library that talks to it, said.
    """

    def __init__(self, log: str) -> None:
        super().__init__(log)
        self.log = log


class NotificationBlock(_LoggingBlock, ABC):
    """A way to send messages to people."""

    _block_schema_capabilities: ClassVar[list[str]] = ["notify"]
    _events_excluded_methods: ClassVar[list[str]] = ["notify"]
    _raise_on_failure: bool = False

    @abstractmethod
    async def notify(self, body: str, subject: str | None = None) -> None:
        """Send a message.

        Args:
            body: its text.
            subject: its subject, where messages have one.
        """

    @contextmanager
    def raise_on_failure(self) -> Generator[None]:
        """Let `notify` raise `NotificationError`, in a block, when a message cannot be sent."""
        before, self._raise_on_failure = self._raise_on_failure, True
        try:
            yield
        finally:
            self._raise_on_failure = before


class JobRun(ABC, Generic[T]):
    """A job that was started somewhere else."""

    @property
    def logger(self) -> Logger:
        """The logger of the run that uses the job; outside a run, one with the name of this class."""
        return _logger_for(self)

    @abstractmethod
    async def wait_for_completion(self) -> Any:
        """Wait until the job has ended."""

    @abstractmethod
    async def fetch_result(self) -> T:
        """What the job made."""


class JobBlock(_LoggingBlock, ABC, Generic[T]):
    """A job that can be started somewhere else, and makes a `T`."""

    @abstractmethod
    async def trigger(self) -> JobRun[T]:
        """Start the job."""


class DatabaseBlock(_LoggingBlock, ABC):
    """A database."""

    @abstractmethod
    async def fetch_one(
        self, operation: str, parameters: dict[str, Any] | None = None, **execution_kwargs: Any
    ) -> tuple[Any, ...] | None:
        """The next row of a query, or None.

        Args:
            operation: the SQL text, or a query of the library underneath.
            parameters: the values for it.
            execution_kwargs: options for the library underneath.
        """

    @abstractmethod
    async def fetch_many(
        self,
        operation: str,
        parameters: dict[str, Any] | None = None,
        size: int | None = None,
        **execution_kwargs: Any,
    ) -> list[tuple[Any, ...]]:
        """The next rows of a query.

        Args:
            operation: the SQL text, or a query of the library underneath.
            parameters: the values for it.
            size: how many rows at most.
            execution_kwargs: options for the library underneath.
        """

    @abstractmethod
    async def fetch_all(
        self, operation: str, parameters: dict[str, Any] | None = None, **execution_kwargs: Any
    ) -> list[tuple[Any, ...]]:
        """All rows of a query; see `fetch_one`."""

    @abstractmethod
    async def execute(self, operation: str, parameters: dict[str, Any] | None = None, **execution_kwargs: Any) -> None:
        """Execute a statement that gives no rows; see `fetch_one`."""

    @abstractmethod
    async def execute_many(
        self, operation: str, seq_of_parameters: Iterable[dict[str, Any]], **execution_kwargs: Any
    ) -> None:
        """Execute a statement once for each set of values.

        Args:
            operation: the SQL text, or a statement of the library underneath.
            seq_of_parameters: the sets of values.
            execution_kwargs: options for the library underneath.
        """

    # a subclass that can be used in a `with` or `async with` block overrides these

    async def __aenter__(self) -> Self:
        raise NotImplementedError(f"{type(self).__name__} cannot be used in an `async with` block.")

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        raise NotImplementedError(f"{type(self).__name__} cannot be used in an `async with` block.")

    def __enter__(self) -> Self:
        raise NotImplementedError(f"{type(self).__name__} cannot be used in a `with` block.")

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        raise NotImplementedError(f"{type(self).__name__} cannot be used in a `with` block.")


class ObjectStorageBlock(_LoggingBlock, ABC):
    """A storage of objects under paths, such as a bucket."""

    @abstractmethod
    async def download_object_to_path(self, from_path: str, to_path: str | Path, **download_kwargs: Any) -> Path:
        """Copy an object to a file; returns the file's path."""

    @abstractmethod
    async def download_object_to_file_object(
        self, from_path: str, to_file_object: BinaryIO, **download_kwargs: Any
    ) -> BinaryIO:
        """Copy an object into an open file; returns that file."""

    @abstractmethod
    async def download_folder_to_path(self, from_folder: str, to_folder: str | Path, **download_kwargs: Any) -> Path:
        """Copy the objects under a path to a folder; returns the folder's path."""

    @abstractmethod
    async def upload_from_path(self, from_path: str | Path, to_path: str, **upload_kwargs: Any) -> str:
        """Copy a file to an object; returns the object's path."""

    @abstractmethod
    async def upload_from_file_object(self, from_file_object: BinaryIO, to_path: str, **upload_kwargs: Any) -> str:
        """Copy an open file to an object; returns the object's path."""

    @abstractmethod
    async def upload_from_folder(self, from_folder: str | Path, to_folder: str, **upload_kwargs: Any) -> str:
        """Copy the files of a folder to objects under a path; returns that path."""


class SecretBlock(_LoggingBlock, ABC):
    """A secret that some service keeps."""

    @abstractmethod
    async def read_secret(self) -> bytes:
        """The secret."""

    @abstractmethod
    async def write_secret(self, secret_data: bytes) -> str:
        """Store a secret; returns its name at the service."""
