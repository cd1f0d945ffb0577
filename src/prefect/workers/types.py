"""Which types of workers there are: ours, those of installed packages, and those that this program defines."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar

from prefect.logging.loggers import get_logger
from prefect.workers._configuration import BaseJobConfiguration, BaseVariables, variables_schema

if TYPE_CHECKING:
    from prefect.workers.base import BaseWorker

ENTRY_POINTS = "prefect.collections"
"""The group under which packages tell of modules that define workers, blocks and the like."""

_classes: dict[str, type[BaseWorker[Any, Any, Any]]] = {}
_loaded: set[str] = set()


def register(cls: type[BaseWorker[Any, Any, Any]]) -> None:
    """Make a class known under its type; a later one of the same type takes its place."""
    if isinstance(getattr(cls, "type", None), str):
        _classes[cls.type] = cls


def load_collections() -> None:
    """Import the modules that installed packages tell of. One that cannot be imported is reported, and left out."""
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name in _loaded:
            continue
        _loaded.add(entry.name)
        try:
            entry.load()
        except Exception as exc:
            get_logger("workers").warning(
                "The integration %r could not be loaded: %s: %s", entry.name, type(exc).__name__, exc
            )


def find(type_: str) -> type[BaseWorker[Any, Any, Any]] | None:
    """The class of a type of workers, or None."""
    if type_ not in _classes:
        load_collections()
    return _classes.get(type_)


def names() -> list[str]:
    """All types there are."""
    load_collections()
    return sorted(_classes)


def forget() -> None:
    """Look at the installed packages again, some of which may be new."""
    _loaded.clear()


class WorkerType:
    """What is known of a type of workers before one is started.

    Attributes:
        type: its name, as in that of work pools.
        job_configuration: what a run is started with.
        job_configuration_variables: what fills in the job template; from the configuration unless given.
    """

    type: ClassVar[str]
    job_configuration: ClassVar[type[BaseJobConfiguration]] = BaseJobConfiguration
    job_configuration_variables: ClassVar[type[BaseVariables] | None] = None
    _documentation_url: ClassVar[str] = ""
    _logo_url: ClassVar[str] = ""
    _description: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        register(cls)  # type: ignore[arg-type]

    @classmethod
    def get_documentation_url(cls) -> str:
        """Where the type of workers is described."""
        return cls._documentation_url

    @classmethod
    def get_logo_url(cls) -> str:
        """A picture for the type of workers."""
        return cls._logo_url

    @classmethod
    def get_description(cls) -> str:
        """What the type of workers does."""
        return cls._description

    @classmethod
    def get_default_base_job_template(cls) -> dict[str, Any]:
        """The job template of a work pool of this type that was not given one."""
        return {
            "job_configuration": cls.job_configuration.json_template(),
            "variables": variables_schema(cls.job_configuration, cls.job_configuration_variables),
        }

    @staticmethod
    def get_worker_class_from_type(type: str) -> type[BaseWorker[Any, Any, Any]] | None:
        """The class of a type of workers; None if no installed package has it."""
        return find(type)

    @staticmethod
    def get_all_available_worker_types() -> list[str]:
        """All types of workers that are installed."""
        return names()
