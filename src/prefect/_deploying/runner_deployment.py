"""A deployment on its way to the API."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from prefect._bridge import async_dispatch, run_coro_as_sync
from prefect._defaults import new_list
from prefect._deploying import applying, entrypoints, schedules, triggers, versions
from prefect._deploying.parameters import as_json, check, with_references
from prefect._engine import flow_options
from prefect._lazy import lazy_module
from prefect._schemas.actions.deployments import DeploymentScheduleCreate
from prefect._schemas.concurrency import ConcurrencyLimitConfig, ConcurrencyOptions
from prefect._schemas.deployments import VersionInfo
from prefect._schemas.naming import BANNED_CHARACTERS
from prefect._schemas.schedule_spec import Schedule
from prefect._storage.folders import RunnerStorage
from prefect.exceptions import InvalidNameError

if TYPE_CHECKING:
    from prefect._deploying import loading
    from prefect.flows import Flow
    from prefect.types import entrypoint as entrypoint_types
    from prefect.types.entrypoint import EntrypointType
else:
    entrypoint_types = lazy_module("prefect.types.entrypoint")
    loading = lazy_module("prefect._deploying.loading")

Intervals = Iterable[int | float | timedelta] | int | float | timedelta | None
Texts = Iterable[str] | str | None


class RunnerDeployment(BaseModel):
    """A deployment as it is described in code, before and after it is made known to the API with `apply`.

    Made by `flow.to_deployment(...)`, whose arguments are the fields, or by `from_flow`, `from_entrypoint` and
    `from_storage`.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True, validate_assignment=True)

    name: str
    flow_name: str | None = None
    description: str | None = None
    version: str | None = None
    # "vcs:git" or "prefect:simple"
    version_type: str | None = None
    tags: list[str] = Field(default_factory=new_list)
    schedules: list[DeploymentScheduleCreate] | None = None
    # how many runs at once, and what becomes of one more
    concurrency_limit: int | None = None
    concurrency_options: ConcurrencyOptions | None = None
    paused: bool | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    entrypoint: str | None = None
    triggers: list[Any] = Field(default_factory=new_list)
    enforce_parameter_schema: bool = True
    # where the code is; None: where this program runs
    storage: RunnerStorage | None = None
    work_pool_name: str | None = None
    work_queue_name: str | None = None
    # over the defaults of the work pool's job template
    job_variables: dict[str, Any] = Field(default_factory=dict)

    _entrypoint_type: Any = PrivateAttr(default=None)
    _path: str | None = PrivateAttr(default=None)
    _parameter_openapi_schema: dict[str, Any] | None = PrivateAttr(default=None)
    _code_folder: Path | None = PrivateAttr(default=None)
    _fingerprint: str | None = PrivateAttr(default=None)
    _sla: Any = PrivateAttr(default=None)

    @property
    def entrypoint_type(self) -> EntrypointType:
        """Whether the entrypoint names a file or a module."""
        if self._entrypoint_type is None:
            kinds = entrypoint_types.EntrypointType
            self._entrypoint_type = kinds.FILE_PATH if ":" in (self.entrypoint or "") else kinds.MODULE_PATH
        return self._entrypoint_type

    @property
    def full_name(self) -> str:
        """The name that `run_deployment` takes: the flow's, a slash, the deployment's."""
        return f"{self.flow_name}/{self.name}" if self.flow_name else self.name

    # -- validation ------------------------------------------------------------------------------------------------

    @field_validator("name")
    @classmethod
    def validate_name(cls, value: str) -> str:
        """Take the ending off the name of a file, as in `to_deployment(name=__file__)`."""
        return Path(value).stem if value.endswith(".py") else value

    @field_validator("parameters", mode="after")
    @classmethod
    def validate_block_parameters(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Refuse blocks that are not saved: a deployment can only name those that are."""
        with_references(value)
        return value

    @field_validator("triggers", mode="before")
    @classmethod
    def _normalize_triggers(cls, value: Any) -> Any:
        return triggers.normalized(value)

    @model_validator(mode="before")
    @classmethod
    def reconcile_paused(cls, values: Any) -> Any:
        """A deployment that does not say is not paused."""
        if isinstance(values, dict) and values.get("paused") is None:
            return {**values, "paused": False}
        return values

    @model_validator(mode="before")
    @classmethod
    def reconcile_schedules(cls, values: Any) -> Any:
        """Take schedules in whatever way they are given."""
        if isinstance(values, dict) and values.get("schedules") is not None:
            return {**values, "schedules": schedules.normalized(values["schedules"])}
        return values

    @model_validator(mode="after")
    def validate_automation_names(self) -> Self:
        """Give triggers without a name one."""
        for number, trigger in enumerate(self.triggers, 1):
            if getattr(trigger, "name", "") is None:
                trigger.name = f"{self.name}__automation_{number}"
        return self

    def validate_deployment_parameters(self) -> Self:
        """Check the parameters against the schema of the flow's, if that is to be enforced.

        Raises:
            ValueError: a parameter is not known, or does not fit.
        """
        if self.enforce_parameter_schema:
            written = as_json(self.parameters, self._words)
            check(written, self._parameter_openapi_schema, f"Deployment {self.full_name!r}")
        return self

    def serialize_block_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Parameters in which saved blocks are references to them."""
        return with_references(parameters)

    @property
    def _words(self) -> str:
        return f"deployment {self.full_name!r}"

    # -- making it known -------------------------------------------------------------------------------------------

    async def aapply(
        self,
        schedules: list[dict[str, Any]] | None = None,
        work_pool_name: str | None = None,
        image: str | None = None,
        version_info: VersionInfo | None = None,
    ) -> UUID:
        """`apply` for asynchronous code."""
        return await applying.apply(
            self, schedules=schedules, work_pool_name=work_pool_name, image=image, version_info=version_info
        )

    @async_dispatch(aapply)
    def apply(
        self,
        schedules: list[dict[str, Any]] | None = None,
        work_pool_name: str | None = None,
        image: str | None = None,
        version_info: VersionInfo | None = None,
    ) -> UUID:
        """Make the deployment known to the API, or change the one of this flow and name.

        Args:
            schedules: instead of its own.
            work_pool_name: instead of its own.
            image: the image its runs run in, for work pools that have images.
            version_info: of the code; found out unless given.

        Returns:
            The deployment's id.

        Raises:
            DeploymentApplyError: it cannot be made; the message says what does not fit.
            ValueError: an image is given without a work pool.
        """
        return run_coro_as_sync(self.aapply(schedules, work_pool_name, image, version_info))

    def version_of_code(self) -> VersionInfo | None:
        """What is known of the version of the code."""
        return versions.version_info(self._code_folder, self._named_version(), self.version_type, self.version)

    def _named_version(self) -> str | None:
        """The version that somebody wrote down; not the fingerprint that flows have without one."""
        return None if self.version == self._fingerprint else self.version

    # -- making it -------------------------------------------------------------------------------------------------

    @classmethod
    def from_flow(
        cls,
        flow: Flow[..., Any],
        name: str,
        interval: Intervals = None,
        cron: Texts = None,
        rrule: Texts = None,
        paused: bool | None = None,
        schedule: Schedule | None = None,
        schedules: Any = None,
        concurrency_limit: int | ConcurrencyLimitConfig | None = None,
        parameters: dict[str, Any] | None = None,
        triggers: list[Any] | None = None,
        description: str | None = None,
        tags: list[str] | None = None,
        version: str | None = None,
        version_type: str | None = None,
        enforce_parameter_schema: bool = True,
        work_pool_name: str | None = None,
        work_queue_name: str | None = None,
        job_variables: dict[str, Any] | None = None,
        entrypoint_type: EntrypointType | None = None,
        _sla: Any = None,
    ) -> Self:
        """A deployment of a flow; `flow.to_deployment` describes the arguments."""
        options = {key: value for key, value in locals().items() if key not in ("cls", "flow", "entrypoint_type")}
        made = cls._make(flow, options)
        by_module = entrypoint_type is not None and entrypoint_type.value == "module_path"
        made.entrypoint = entrypoints.entrypoint_of(flow, by_module=by_module)
        made._entrypoint_type = entrypoint_type or entrypoint_types.EntrypointType.FILE_PATH
        made.storage = flow._storage
        made._code_folder = flow._code_folder or _folder_of(entrypoints.source_file(flow))
        if made.storage is None:
            made._path = "."
        return made

    @classmethod
    def from_entrypoint(
        cls,
        entrypoint: str,
        name: str,
        flow_name: str | None = None,
        interval: Intervals = None,
        cron: Texts = None,
        rrule: Texts = None,
        paused: bool | None = None,
        schedule: Schedule | None = None,
        schedules: Any = None,
        concurrency_limit: int | ConcurrencyLimitConfig | None = None,
        parameters: dict[str, Any] | None = None,
        triggers: list[Any] | None = None,
        description: str | None = None,
        tags: list[str] | None = None,
        version: str | None = None,
        enforce_parameter_schema: bool = True,
        work_pool_name: str | None = None,
        work_queue_name: str | None = None,
        job_variables: dict[str, Any] | None = None,
        _sla: Any = None,
    ) -> Self:
        """A deployment of the flow at an entrypoint (`path/to/file.py:flow`, `package.module.flow`).

        The other arguments are those of `flow.to_deployment`.

        Raises:
            MissingFlowError: there is no such flow.
        """
        options = {key: value for key, value in locals().items() if key not in ("cls", "entrypoint")}
        flow = loading.load(entrypoint)
        made = cls._make(flow, options)
        made.entrypoint = entrypoint
        made._code_folder = _folder_of(entrypoints.source_file(flow))
        made._path = "."
        if loading.is_placeholder(flow):
            # its file cannot be run here; what the source tells is enough to deploy it
            made._parameter_openapi_schema = loading.schema_at(entrypoint)
            made._code_folder = _folder_of(Path(entrypoint.rpartition(":")[0]))
            made.version = version
        return made

    @classmethod
    async def afrom_storage(
        cls,
        storage: RunnerStorage,
        entrypoint: str,
        name: str,
        flow_name: str | None = None,
        interval: Intervals = None,
        cron: Texts = None,
        rrule: Texts = None,
        paused: bool | None = None,
        schedule: Schedule | None = None,
        schedules: Any = None,
        concurrency_limit: int | ConcurrencyLimitConfig | None = None,
        parameters: dict[str, Any] | None = None,
        triggers: list[Any] | None = None,
        description: str | None = None,
        tags: list[str] | None = None,
        version: str | None = None,
        version_type: str | None = None,
        enforce_parameter_schema: bool = True,
        work_pool_name: str | None = None,
        work_queue_name: str | None = None,
        job_variables: dict[str, Any] | None = None,
        _sla: Any = None,
    ) -> Self:
        """`from_storage` for asynchronous code."""
        options = {key: value for key, value in locals().items() if key not in ("cls", "entrypoint", "storage")}
        flow = await loading.load_from_storage(storage, entrypoint)
        made = cls._make(flow, options)
        made.entrypoint = entrypoint
        made.storage = storage
        made._code_folder = flow._code_folder
        return made

    @classmethod
    def from_storage(
        cls,
        storage: RunnerStorage,
        entrypoint: str,
        name: str,
        flow_name: str | None = None,
        interval: Intervals = None,
        cron: Texts = None,
        rrule: Texts = None,
        paused: bool | None = None,
        schedule: Schedule | None = None,
        schedules: Any = None,
        concurrency_limit: int | ConcurrencyLimitConfig | None = None,
        parameters: dict[str, Any] | None = None,
        triggers: list[Any] | None = None,
        description: str | None = None,
        tags: list[str] | None = None,
        version: str | None = None,
        version_type: str | None = None,
        enforce_parameter_schema: bool = True,
        work_pool_name: str | None = None,
        work_queue_name: str | None = None,
        job_variables: dict[str, Any] | None = None,
        _sla: Any = None,
    ) -> Self:
        """A deployment of the flow at an entrypoint of code that is kept elsewhere; the code is fetched to look at it.

        Args:
            storage: where the code is: a `GitRepository`, `RemoteStorage`, ...
            entrypoint: `path/to/file.py:flow` within it.
            name: of the deployment.
            flow_name: instead of the flow's own.

        The other arguments are those of `flow.to_deployment`.

        Raises:
            RuntimeError: the code cannot be fetched.
            MissingFlowError: there is no such flow in it.
        """
        options = {key: value for key, value in locals().items() if key != "cls"}
        made: Any = cls.afrom_storage(**options)
        # in a running loop the caller awaits
        return made if applying.in_async_context() else run_coro_as_sync(made)

    @classmethod
    def _make(cls, flow: Flow[..., Any], options: dict[str, Any]) -> Self:
        """A deployment of a flow with options as the constructors above take them."""
        limit = options["concurrency_limit"]
        config = limit if isinstance(limit, ConcurrencyLimitConfig) else None
        made = cls(
            name=_checked_name(options["name"]),
            flow_name=options.get("flow_name") or flow.name,
            schedules=schedules.from_options(
                **{way: options[way] for way in ("interval", "cron", "rrule", "schedule", "schedules")}
            ),
            concurrency_limit=config.limit if config is not None else options["concurrency_limit"],
            concurrency_options=_concurrency_options(config),
            paused=options["paused"],
            parameters=options["parameters"] or {},
            triggers=options["triggers"] or [],
            description=options["description"] or flow.description,
            tags=options["tags"] or [],
            version=options["version"] or flow.version,
            version_type=options.get("version_type"),
            enforce_parameter_schema=options["enforce_parameter_schema"],
            work_pool_name=options["work_pool_name"],
            work_queue_name=options["work_queue_name"],
            job_variables=options["job_variables"] or {},
        )
        made._sla = options["_sla"]
        made._fingerprint = flow_options.file_fingerprint(flow.fn)
        made._parameter_openapi_schema = flow.parameters.model_dump_for_openapi()
        return made


def _checked_name(name: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise InvalidNameError(f"A deployment needs a name; {name!r} is none.")
    shown = Path(name).stem if name.endswith(".py") else name
    if any(character in shown for character in BANNED_CHARACTERS):
        raise InvalidNameError(
            f"Name {name!r} contains an invalid character. Must not contain any of: {list(BANNED_CHARACTERS)}."
        )
    return shown


def _concurrency_options(config: ConcurrencyLimitConfig | None) -> ConcurrencyOptions | None:
    if config is None:
        return None
    given = {"collision_strategy": config.collision_strategy, "grace_period_seconds": config.grace_period_seconds}
    return ConcurrencyOptions.model_validate({name: value for name, value in given.items() if value is not None})


def _folder_of(file: Path | None) -> Path | None:
    return Path(os.path.dirname(os.path.abspath(file))) if file is not None else None
