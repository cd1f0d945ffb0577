"""`prefect work-pool storage`: where a work pool keeps flows that are sent along with their runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _output
from prefect.cli._options import Output

if TYPE_CHECKING:
    from prefect import exceptions
    from prefect._schemas import work_pools
    from prefect.client.schemas import actions
else:
    actions = lazy_module("prefect.client.schemas.actions")
    exceptions = lazy_module("prefect.exceptions")
    work_pools = lazy_module("prefect._schemas.work_pools")

app = App(name="storage", help="Where a work pool keeps flows that are sent along with their runs.")
configure = App(name="configure", help="Choose the storage of a work pool.")
app.command(configure)

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
    if output == "json":
        _output.print_json(pool.storage_configuration)
        return
    storage = pool.storage_configuration
    if storage.bundle_upload_step is None and storage.bundle_execution_step is None:
        print(f"Work pool {work_pool_name!r} has no storage; `prefect work-pool storage configure` chooses one.")
        return
    _output.print_fields({"Upload": storage.bundle_upload_step, "Execution": storage.bundle_execution_step})


@configure.command
def s3(
    work_pool_name: Pool,
    *,
    bucket: Annotated[str | None, Parameter(help="Name of the bucket.")] = None,
    aws_credentials_block_name: Annotated[str | None, Parameter(help="Name of an AwsCredentials block.")] = None,
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
    inputs = {
        "bucket": _given(bucket, "--bucket"),
        "aws_credentials_block_name": _given(aws_credentials_block_name, "--aws-credentials-block-name"),
    }
    _configure(work_pool_name, "prefect_aws.experimental.bundles", "prefect-aws", inputs, launchers)


@configure.command
def gcs(
    work_pool_name: Pool,
    *,
    bucket: Annotated[str | None, Parameter(help="Name of the bucket.")] = None,
    gcp_credentials_block_name: Annotated[str | None, Parameter(help="Name of a GcpCredentials block.")] = None,
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
    inputs = {
        "bucket": _given(bucket, "--bucket"),
        "gcp_credentials_block_name": _given(gcp_credentials_block_name, "--gcp-credentials-block-name"),
    }
    _configure(work_pool_name, "prefect_gcp.experimental.bundles", "prefect-gcp", inputs, launchers)


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
    _configure(work_pool_name, "prefect_azure.experimental.bundles", "prefect-azure", inputs, launchers)


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
    pool: str, module: str, package: str, inputs: dict[str, Any], launchers: dict[str, list[str] | None]
) -> None:
    steps = {}
    for function, launcher in launchers.items():
        step: dict[str, Any] = {"requires": package, **inputs}
        if launcher is not None:
            step["launcher"] = launcher
        steps[function] = {f"{module}.{function}": step}
    with _api.client() as api:
        try:
            known = api.read_work_pool(pool)
        except exceptions.ObjectNotFound:
            _api.not_found("work pool", pool, (one.name for one in api.read_work_pools()))
        storage = work_pools.WorkPoolStorageConfiguration(
            bundle_upload_step=steps["upload"],
            bundle_execution_step=steps["execute"],
            default_result_storage_block_id=known.storage_configuration.default_result_storage_block_id,
        )
        api.update_work_pool(pool, actions.WorkPoolUpdate(storage_configuration=storage))
    print(f"Configured the storage of work pool {pool!r}.")
