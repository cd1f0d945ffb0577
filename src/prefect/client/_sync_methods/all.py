"""Made from `_methods/all.py` by `python -m prefect.client._methods --write`. Change that file, not this one."""

# fmt: off

from __future__ import annotations

from prefect import __version__
from prefect.client._sync_methods.artifacts import ArtifactMethods
from prefect.client._sync_methods.automations import AutomationMethods
from prefect.client._sync_methods.blocks import BlockMethods
from prefect.client._sync_methods.concurrency import ConcurrencyMethods
from prefect.client._sync_methods.deployments import DeploymentMethods
from prefect.client._sync_methods.events import EventMethods
from prefect.client._sync_methods.flow_runs import FlowRunMethods
from prefect.client._sync_methods.leases import LeaseMethods
from prefect.client._sync_methods.logs import LogMethods
from prefect.client._sync_methods.scheduling import SchedulingMethods
from prefect.client._sync_methods.server import ServerMethods
from prefect.client._sync_methods.task_runs import TaskRunMethods
from prefect.client._sync_methods.variables import VariableMethods
from prefect.client._sync_methods.work_pools import WorkPoolMethods
from prefect.client._sync_methods.work_queues import WorkQueueMethods
from prefect.client._versions import CHECKED, compare
from prefect.client.base import ServerType


class AllMethods(
    FlowRunMethods,
    LeaseMethods,
    TaskRunMethods,
    DeploymentMethods,
    SchedulingMethods,
    WorkPoolMethods,
    WorkQueueMethods,
    BlockMethods,
    ConcurrencyMethods,
    ArtifactMethods,
    VariableMethods,
    LogMethods,
    AutomationMethods,
    EventMethods,
    ServerMethods,
):
    """Every operation of the API as a method."""

    server_type: ServerType

    def client_version(self) -> str:
        """The version of this package."""
        return __version__

    def raise_for_api_version_mismatch(self) -> None:
        """Check that this client and the server understand each other; warn when the server is the older one.

        Raises:
            RuntimeError: the server cannot be reached, or its major version is another.
        """
        if self.server_type in (ServerType.CLOUD, ServerType.EPHEMERAL):
            return
        try:
            server_version = self.api_version()
        except Exception as exc:
            raise RuntimeError(
                f"Failed to reach API at {self._transport.api_url}: {exc}. Check that the server runs and that "
                "PREFECT_API_URL is its address."
            ) from exc
        compare(self.client_version(), server_version, self._transport.api_url)

    def raise_for_api_version_mismatch_once(self) -> None:
        """As `raise_for_api_version_mismatch`, but only once for each address in the life of this process."""
        address = self._transport.api_url
        if address not in CHECKED:
            self.raise_for_api_version_mismatch()
            CHECKED.add(address)
