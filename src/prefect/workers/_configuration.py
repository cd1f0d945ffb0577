"""What a worker is told of a run: the job template of the work pool, filled in with variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from pydantic import BaseModel, Field, PrivateAttr, field_validator
from pydantic.json_schema import GenerateJsonSchema

import prefect
from prefect._schemas.events import RelatedResource
from prefect._schemas.flow_runs import FlowRun
from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings
from prefect.utilities.annotations import NotSet
from prefect.utilities.templating import (
    PlaceholderType,
    apply_values,
    find_placeholders,
    resolve_block_document_references,
    resolve_variables,
)

if TYPE_CHECKING:
    from prefect._schemas.deployments import DeploymentResponse
    from prefect._schemas.flows import Flow as APIFlow
    from prefect._schemas.work_pools import WorkPool
    from prefect.client.orchestration import PrefectClient

DEFAULT_COMMAND = "prefect flow-run execute"
LABELS = "prefect.io/"


class BaseJobConfiguration(BaseModel):
    """What is needed to start one run; workers add fields of their own.

    Attributes:
        command: what to run; None for what carries out a flow run.
        env: variables of the environment; None for one that is not to be set.
        labels: to find the infrastructure of the run by.
        name: of the infrastructure; the run's unless given.
    """

    command: str | None = Field(default=None, description="The command to run; None carries out the flow run.")
    env: dict[str, str | None] = Field(
        default_factory=dict, title="Environment Variables", description="Variables of the environment of the run."
    )
    labels: dict[str, str] = Field(default_factory=dict, description="Labels on the infrastructure of the run.")
    name: str | None = Field(default=None, description="Name of the infrastructure of the run; the run's unless given.")

    _related_objects: dict[str, Any] = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any, /) -> None:
        """Begin without related objects."""
        self._related_objects = {"deployment": None, "flow": None, "flow-run": None}

    @property
    def is_using_a_runner(self) -> bool:
        """Whether the command is the one that carries out a flow run."""
        return self.command is not None and DEFAULT_COMMAND in self.command

    @field_validator("env", mode="before")
    @classmethod
    def _coerce_env(cls, v: dict[str, Any]) -> dict[str, str | None]:
        return {name: str(value) if value is not None else None for name, value in (v or {}).items()}

    @classmethod
    def json_template(cls) -> dict[str, Any]:
        """The part `job_configuration` of a job template: each field with the placeholder that fills it in."""
        template = {}
        for name, properties in cls.model_json_schema()["properties"].items():
            given = properties.get("template")
            template[name] = given if given is not None else f"{{{{ {name} }}}}"
        return template

    @classmethod
    async def from_template_and_values(
        cls, base_job_template: dict[str, Any], values: dict[str, Any], client: PrefectClient | None = None
    ) -> Self:
        """Fill in a job template.

        Variables among the values of blocks, variables and the environment are resolved too.

        Args:
            base_job_template: `{"job_configuration": ..., "variables": JSON schema}`.
            values: of variables, over the defaults in the schema.
            client: for the API; one of the current settings unless given.

        Raises:
            ValueError: the template uses a variable that it does not declare, or a required one has no value.
        """
        configuration = dict(base_job_template["job_configuration"])
        variables = _with_defaults(base_job_template["variables"], values)
        env = configuration.get("env")
        if isinstance(env, dict) and isinstance(variables.get("env"), dict):
            configuration["env"] = {**env, **variables["env"]}  # what the pool sets, and the run over it
        _check(configuration, base_job_template["variables"], variables)
        filled = apply_values(configuration, variables)
        if client is not None:
            filled = await _resolved(filled, client)
        else:
            async with get_client() as one:
                filled = await _resolved(filled, one)
        return cls(**{name: value for name, value in filled.items() if value is not NotSet})

    @classmethod
    async def resolve_for_flow_run(
        cls,
        flow_run: FlowRun,
        *,
        client: PrefectClient,
        work_pool: WorkPool,
        worker_name: str,
        worker_id: UUID | None = None,
        deployment: DeploymentResponse | None = None,
    ) -> Self:
        """The configuration of a run, from its pool's template, its deployment's variables and its own.

        Args:
            flow_run: the run.
            client: for the API.
            work_pool: the pool.
            worker_name, worker_id: who asks.
            deployment: of the run; read when it has one that is not given.
        """
        if deployment is None and flow_run.deployment_id is not None:
            deployment = await client.read_deployment(flow_run.deployment_id)
        flow = await client.read_flow(flow_run.flow_id)
        return await cls._of(flow_run, client, work_pool, worker_name, worker_id, deployment, flow)

    @classmethod
    async def _of(
        cls,
        flow_run: FlowRun,
        client: PrefectClient,
        work_pool: WorkPool,
        worker_name: str,
        worker_id: UUID | None,
        deployment: DeploymentResponse | None,
        flow: APIFlow | None,
        env: dict[str, str] | None = None,
    ) -> Self:
        values = _merged(deployment.job_variables if deployment is not None else {}, flow_run.job_variables or {})
        configuration = await cls.from_template_and_values(work_pool.base_job_template, values, client)
        configuration.env.update(env or {})
        configuration.prepare_for_flow_run(
            flow_run,
            deployment=deployment,
            flow=flow,
            work_pool=work_pool,
            worker_name=worker_name,
            worker_id=worker_id,
        )
        return configuration

    def prepare_for_flow_run(
        self,
        flow_run: FlowRun,
        deployment: DeploymentResponse | None = None,
        flow: APIFlow | None = None,
        work_pool: WorkPool | None = None,
        worker_name: str | None = None,
        worker_id: UUID | None = None,
    ) -> None:
        """Add what belongs to a run: its command, its environment, its name, labels that tell what it is of.

        Args:
            flow_run: the run.
            deployment, flow, work_pool: what it belongs to.
            worker_name, worker_id: who starts it.
        """
        self._related_objects = {"deployment": deployment, "flow": flow, "flow-run": flow_run}
        self.env = {
            **self._base_environment(),
            **self._base_flow_run_environment(flow_run),
            **self._base_attribution_environment(flow_run, deployment, flow, worker_id, worker_name),
            **self.env,
        }
        self.labels = {
            **self._base_flow_run_labels(flow_run),
            **self._base_work_pool_labels(work_pool),
            **self._base_worker_name_label(worker_name),
            **self._base_flow_labels(flow),
            **self._base_deployment_labels(deployment),
            **self.labels,
        }
        self.name = self.name or flow_run.name
        self.command = self.command or self._base_flow_run_command()

    @staticmethod
    def _base_flow_run_command() -> str:
        return DEFAULT_COMMAND

    @staticmethod
    def _base_environment() -> dict[str, str]:
        """The settings of the worker, as variables."""
        return get_current_settings().to_environment_variables(exclude_unset=True)

    @staticmethod
    def _base_flow_run_environment(flow_run: FlowRun | None) -> dict[str, str]:
        return {} if flow_run is None else {"PREFECT__FLOW_RUN_ID": str(flow_run.id)}

    @staticmethod
    def _base_attribution_environment(
        flow_run: FlowRun | None = None,
        deployment: DeploymentResponse | None = None,
        flow: APIFlow | None = None,
        worker_id: UUID | None = None,
        worker_name: str | None = None,
    ) -> dict[str, str]:
        """Variables that say on whose behalf the run makes its requests."""
        given = {
            "PREFECT__WORKER_ID": worker_id,
            "PREFECT__WORKER_NAME": worker_name,
            "PREFECT__FLOW_ID": flow.id if flow is not None else None,
            "PREFECT__FLOW_NAME": flow.name if flow is not None else None,
            "PREFECT__DEPLOYMENT_ID": flow_run.deployment_id if flow_run is not None else None,
            "PREFECT__DEPLOYMENT_NAME": deployment.name if deployment is not None else None,
        }
        return {name: str(value) for name, value in given.items() if value}

    @staticmethod
    def _base_flow_run_labels(flow_run: FlowRun) -> dict[str, str]:
        return {
            f"{LABELS}flow-run-id": str(flow_run.id),
            f"{LABELS}flow-run-name": flow_run.name,
            f"{LABELS}version": prefect.__version__,
        }

    @staticmethod
    def _base_work_pool_labels(work_pool: WorkPool | None) -> dict[str, str]:
        if work_pool is None:
            return {}
        return {f"{LABELS}work-pool-name": work_pool.name, f"{LABELS}work-pool-id": str(work_pool.id)}

    @staticmethod
    def _base_worker_name_label(worker_name: str | None) -> dict[str, str]:
        return {} if worker_name is None else {f"{LABELS}worker-name": worker_name}

    @staticmethod
    def _base_flow_labels(flow: APIFlow | None) -> dict[str, str]:
        return {} if flow is None else {f"{LABELS}flow-id": str(flow.id), f"{LABELS}flow-name": flow.name}

    @staticmethod
    def _base_deployment_labels(deployment: DeploymentResponse | None) -> dict[str, str]:
        if deployment is None:
            return {}
        labels = {f"{LABELS}deployment-id": str(deployment.id), f"{LABELS}deployment-name": deployment.name}
        if deployment.updated is not None:
            labels[f"{LABELS}deployment-updated"] = deployment.updated.isoformat()
        return labels

    def _related_resources(self) -> list[RelatedResource]:
        """The run and what it belongs to, as events name them."""
        tags: set[str] = set()
        found = []
        for kind, one in self._related_objects.items():
            if one is not None:
                tags.update(getattr(one, "tags", ()))
                found.append(related_resource(kind, one.id, one.name))
        return [*found, *(related_resource("tag", tag) for tag in sorted(tags))]


def related_resource(kind: str, id: Any, name: str | None = None) -> RelatedResource:
    """Something that an event has to do with: its role is what it is."""
    labels = {"prefect.resource.id": f"prefect.{kind}.{id}", "prefect.resource.role": kind}
    return RelatedResource(labels if name is None else {**labels, "prefect.resource.name": name})


class _Schema(GenerateJsonSchema):
    """Schemas as forms want them: without the key `template`, which is for job templates."""

    def generate(self, schema: Any, mode: Any = "validation") -> Any:
        made = super().generate(schema, mode)
        for properties in made.get("properties", {}).values():
            properties.pop("template", None)
        return made


class BaseVariables(BaseModel):
    """The variables of a job template, where a worker describes them apart from its configuration."""

    name: str | None = Field(default=None, description="Name given to infrastructure created by a worker.")
    env: dict[str, str | None] = Field(
        default_factory=dict, title="Environment Variables", description="Variables of the environment of the run."
    )
    labels: dict[str, str] = Field(default_factory=dict, description="Labels on the infrastructure of the run.")
    command: str | None = Field(default=None, description="The command to run; None carries out the flow run.")

    @classmethod
    def model_json_schema(  # type: ignore[override]
        cls,
        by_alias: bool = True,
        ref_template: str = "#/definitions/{model}",
        schema_generator: type[GenerateJsonSchema] = _Schema,
        mode: Any = "validation",
        *,
        union_format: Any = "any_of",
    ) -> dict[str, Any]:
        """The JSON schema; shared parts are under `definitions`."""
        return _plain(super().model_json_schema(by_alias, ref_template, schema_generator, mode))


class BaseWorkerResult(BaseModel):
    """How the infrastructure of a run ended.

    Attributes:
        identifier: of the infrastructure.
        status_code: 0 when all was well.
    """

    identifier: str
    status_code: int

    def __bool__(self) -> bool:
        return self.status_code == 0


def variables_schema(
    configuration: type[BaseJobConfiguration], variables: type[BaseVariables] | None
) -> dict[str, Any]:
    """The part `variables` of the default job template of a type of workers."""
    if variables is not None:
        schema = variables.model_json_schema()
    else:
        schema = _plain(configuration.model_json_schema(ref_template="#/definitions/{model}", schema_generator=_Schema))
    return {name: value for name, value in schema.items() if name not in ("title", "description")}


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    if "$defs" in schema:
        schema["definitions"] = schema.pop("$defs")
    return schema


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Job variables over others; both environments count."""
    merged = {**below, **above}
    if isinstance(below.get("env"), dict) and isinstance(above.get("env"), dict):
        merged["env"] = {**below["env"], **above["env"]}
    return merged


def _with_defaults(schema: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    defaults = {name: one["default"] for name, one in schema.get("properties", {}).items() if "default" in one}
    return {**defaults, **values}


def _check(configuration: dict[str, Any], schema: dict[str, Any], variables: dict[str, Any]) -> None:
    """Say which variables a template lacks, rather than start something that is not what was meant."""
    declared = schema.get("properties", {})
    used = {one.name for one in find_placeholders(configuration) if one.type is PlaceholderType.STANDARD}
    unknown = sorted({name for name in used if name not in variables and _first(name) not in declared | variables})
    if unknown:
        known = ", ".join(sorted(declared)) or "none"
        raise ValueError(
            f"The job template of the work pool uses variables that it does not declare: {', '.join(unknown)}. Declare "
            f"them in its part 'variables', or correct their names. Declared are: {known}."
        )
    missing = sorted(name for name in schema.get("required", ()) if name not in variables)
    if missing:
        raise ValueError(
            f"The job template of the work pool requires variables that have no value: {', '.join(missing)}. Give them to "
            "the deployment or the run as job variables, or defaults in the work pool."
        )


def _first(name: str) -> str:
    return name.partition(".")[0].partition("[")[0]


async def _resolved(filled: dict[str, Any], client: PrefectClient) -> dict[str, Any]:
    return await resolve_variables(await resolve_block_document_references(filled, client=client), client=client)
