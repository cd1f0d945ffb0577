"""`prefect work-pool storage`: where a work pool keeps flows that are sent along with their runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _output
from prefect.cli._options import Output

if TYPE_CHECKING:
    from prefect import exceptions
    from prefect._schemas import work_pools
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas import actions
else:
    actions = lazy_module("prefect.client.schemas.actions")
    exceptions = lazy_module("prefect.exceptions")
    work_pools = lazy_module("prefect._schemas.work_pools")

app = App(name="storage", help="Where a work pool keeps flows that are sent along with their runs.")
configure = App(name="configure", help="Choose the storage of a work pool.")
app.command(configure)

_KINDS = {"prefect_aws": "S3", "prefect_gcp": "GCS", "prefect_azure": "Azure Blob Storage"}

Pool = Annotated[str, Parameter(help="Name of the work pool.")]
Launcher = Annotated[str | None, Parameter(help="Program that uploads and runs bundles, instead of uv.")]
UploadLauncher = Annotated[str | None, Parameter(help="Program that uploads bundles.")]
ExecutionLauncher = Annotated[str | None, Parameter(help="Program that runs bundles.")]
Args = Annotated[
    list[str] | None,
    Parameter(help="One argument of that program. May be repeated.", negative=(), allow_leading_hyphen=True),
]


@app.command
def inspect(work_pool_name: Pool, *, output: Output = None) -> None:
    """Show the storage of a work pool."""
    with _api.client() as api:
        try:
            pool = api.read_work_pool(work_pool_name)
        except exceptions.ObjectNotFound:
            _api.not_found("work pool", work_pool_name, (one.name for one in api.read_work_pools()))
    storage = pool.storage_configuration
    upload, execution = _only(storage.bundle_upload_step), _only(storage.bundle_execution_step)
    kind = _KINDS.get(upload[0].partition(".")[0], upload[0]) if upload else None
    if output == "json":
        inputs = {"upload": upload[1] if upload else None, "execution": execution[1] if execution else None}
        _output.print_plain_json({"type": kind, **inputs})
        return
    if upload is None and execution is None:
        print(f"Work pool {work_pool_name!r} has no storage; `prefect work-pool storage configure` chooses one.")
        return
    _output.print_fields(
        {"Type": kind, "Upload": storage.bundle_upload_step, "Execution": storage.bundle_execution_step}
    )


def _only(step: dict[str, Any] | None) -> tuple[str, dict[str, Any]] | None:
    """The module of a step, and its inputs."""
    return next(iter(step.items()), None) if step else None


@configure.command
def s3(
    work_pool_name: Pool,
    *,
    bucket: Annotated[str | None, Parameter(help="Name of the bucket.")] = None,
    aws_credentials_block_name: Annotated[
        str | None, Parameter(help="Name of an AwsCredentials block; else what the environment has.")
    ] = None,
    launcher: Launcher = None,
    launcher_arg: Args = None,
    upload_launcher: UploadLauncher = None,
    upload_launcher_arg: Args = None,
    execution_launcher: ExecutionLauncher = None,
    execution_launcher_arg: Args = None,
) -> None:
    """Keep bundles in a bucket of Amazon S3; needs prefect-aws where they are made and run."""
    launchers = _launchers(
        launcher, launcher_arg, upload_launcher, upload_launcher_arg, execution_launcher, execution_launcher_arg
    )
    inputs = {"bucket": _given(bucket, "--bucket"), "aws_credentials_block_name": aws_credentials_block_name}
    _configure(work_pool_name, "aws", "aws-credentials", inputs, launchers)


@configure.command
def gcs(
    work_pool_name: Pool,
    *,
    bucket: Annotated[str | None, Parameter(help="Name of the bucket.")] = None,
    gcp_credentials_block_name: Annotated[
        str | None, Parameter(help="Name of a GcpCredentials block; else what the environment has.")
    ] = None,
    launcher: Launcher = None,
    launcher_arg: Args = None,
    upload_launcher: UploadLauncher = None,
    upload_launcher_arg: Args = None,
    execution_launcher: ExecutionLauncher = None,
    execution_launcher_arg: Args = None,
) -> None:
    """Keep bundles in a bucket of Google Cloud Storage; needs prefect-gcp where they are made and run."""
    launchers = _launchers(
        launcher, launcher_arg, upload_launcher, upload_launcher_arg, execution_launcher, execution_launcher_arg
    )
    inputs = {"bucket": _given(bucket, "--bucket"), "gcp_credentials_block_name": gcp_credentials_block_name}
    _configure(work_pool_name, "gcp", "gcp-credentials", inputs, launchers)


@configure.command
def azure_blob_storage(
    work_pool_name: Pool,
    *,
    container: Annotated[str | None, Parameter(help="Name of the container.")] = None,
    azure_blob_storage_credentials_block_name: Annotated[
        str | None, Parameter(help="Name of an AzureBlobStorageCredentials block.")
    ] = None,
    launcher: Launcher = None,
    launcher_arg: Args = None,
    upload_launcher: UploadLauncher = None,
    upload_launcher_arg: Args = None,
    execution_launcher: ExecutionLauncher = None,
    execution_launcher_arg: Args = None,
) -> None:
    """Keep bundles in a container of Azure Blob Storage; needs prefect-azure where they are made and run."""
    launchers = _launchers(
        launcher, launcher_arg, upload_launcher, upload_launcher_arg, execution_launcher, execution_launcher_arg
    )
    option = "--azure-blob-storage-credentials-block-name"
    inputs = {
        "container": _given(container, "--container"),
        "azure_blob_storage_credentials_block_name": _given(azure_blob_storage_credentials_block_name, option),
    }
    _configure(work_pool_name, "azure", "azure-blob-storage-credentials", inputs, launchers)


def _given(value: str | None, option: str) -> str:
    if value:
        return value
    answer = (
        _console.ask(f"{option.removeprefix('--').replace('-', ' ').capitalize()}: ") if _console.can_ask() else None
    )
    return answer or _console.usage(f"{option} is needed.")


def _launchers(
    shared: str | None,
    shared_args: list[str] | None,
    upload: str | None,
    upload_args: list[str] | None,
    execution: str | None,
    execution_args: list[str] | None,
) -> dict[str, list[str] | None]:
    """The command lines that upload and run bundles; None where that is left to the usual one."""
    return {
        "upload": _launcher(shared, shared_args, upload, upload_args, "--upload-launcher-arg"),
        "execute": _launcher(shared, shared_args, execution, execution_args, "--execution-launcher-arg"),
    }


def _launcher(
    shared: str | None, shared_args: list[str] | None, own: str | None, own_args: list[str] | None, option: str
) -> list[str] | None:
    if own is not None:
        return [own, *(own_args or ())]
    if shared is None:
        if shared_args or own_args:
            _console.usage(f"{option if own_args else '--launcher-arg'} needs a launcher that it is an argument of.")
        return None
    return [shared, *(shared_args or ()), *(own_args or ())]


def _configure(
    pool: str, cloud: str, block_type: str, inputs: Mapping[str, str | None], launchers: dict[str, list[str] | None]
) -> None:
    """Let a pool keep bundles by the modules that the published package for a cloud has for that."""
    steps = {}
    block = inputs[f"{block_type.replace('-', '_')}_block_name"]
    for function, launcher in launchers.items():
        step: dict[str, Any] = {name: value for name, value in inputs.items() if value}
        step["requires"] = f"prefect-{cloud}"
        if launcher is not None:
            step["launcher"] = launcher
        steps[function] = {f"prefect_{cloud}.experimental.bundles.{function}": step}
    with _api.client() as api:
        try:
            known = api.read_work_pool(pool)
        except exceptions.ObjectNotFound:
            _api.not_found("work pool", pool, (one.name for one in api.read_work_pools()))
        _check_block(api, block, block_type)
        storage = work_pools.WorkPoolStorageConfiguration(
            bundle_upload_step=steps["upload"],
            bundle_execution_step=steps["execute"],
            default_result_storage_block_id=known.storage_configuration.default_result_storage_block_id,
        )
        api.update_work_pool(pool, actions.WorkPoolUpdate(storage_configuration=storage))
    print(f"Configured {_KINDS[f'prefect_{cloud}']} storage for work pool {pool!r}.")


def _check_block(api: SyncPrefectClient, name: str | None, block_type: str) -> None:
    if name is None:
        return
    try:
        api.read_block_document_by_name(name, block_type)
    except exceptions.ObjectNotFound:
        _console.fail(f"There is no block '{block_type}/{name}'. `prefect block create {block_type}` makes one.")
