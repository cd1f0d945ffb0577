"""Automations: what is done when something happens.

```python
Automation(
    name="tell me",
    trigger=EventTrigger(expect={"prefect.flow-run.Failed"}),
    actions=[RunDeployment(deployment_id=...)],
).create()
```
"""

from __future__ import annotations

from typing import Any, Self
from uuid import UUID

from pydantic import Field

from prefect._bridge import async_dispatch, run, settle
from prefect._schemas.automation_actions import (
    CallWebhook,
    CancelFlowRun,
    ChangeFlowRunState,
    DeclareIncident,
    DeleteFlowRun,
    DoNothing,
    PauseAutomation,
    PauseDeployment,
    PauseWorkPool,
    PauseWorkQueue,
    ResumeAutomation,
    ResumeDeployment,
    ResumeFlowRun,
    ResumeWorkPool,
    ResumeWorkQueue,
    RunDeployment,
    SendNotification,
    SuspendFlowRun,
)
from prefect._schemas.automations import (
    AutomationCore,
    CompositeTrigger,
    CompoundTrigger,
    EventTrigger,
    MetricTrigger,
    MetricTriggerOperator,
    MetricTriggerQuery,
    Posture,
    PrefectMetric,
    ResourceTrigger,
    SequenceTrigger,
    Trigger,
)
from prefect._schemas.events import ResourceSpecification
from prefect.client.utilities import async_client, sync_client
from prefect.exceptions import ObjectNotFound

__all__ = [
    "Automation",
    "AutomationCore",
    "CallWebhook",
    "CancelFlowRun",
    "ChangeFlowRunState",
    "CompositeTrigger",
    "CompoundTrigger",
    "DeclareIncident",
    "DeleteFlowRun",
    "DoNothing",
    "EventTrigger",
    "MetricTrigger",
    "MetricTriggerOperator",
    "MetricTriggerQuery",
    "PauseAutomation",
    "PauseDeployment",
    "PauseWorkPool",
    "PauseWorkQueue",
    "Posture",
    "PrefectMetric",
    "ResourceSpecification",
    "ResourceTrigger",
    "ResumeAutomation",
    "ResumeDeployment",
    "ResumeFlowRun",
    "ResumeWorkPool",
    "ResumeWorkQueue",
    "RunDeployment",
    "SendNotification",
    "SequenceTrigger",
    "SuspendFlowRun",
    "Trigger",
]


class Automation(AutomationCore):
    """What is done when something happens.

    Every method has an `a` form for asynchronous code: `create` and `acreate`.

    Attributes:
        id: identifies it once it was created or read.
    """

    id: UUID | None = Field(default=None, description="Identity of the automation.")

    async def acreate(self) -> Self:
        """`create` for asynchronous code."""
        async with async_client() as api:
            return await _create(self, api)

    def create(self, *, _sync: bool | None = None) -> Any:
        """Make it in the API; returns itself, with its `id`."""
        return _create_now(self, _sync=_sync)

    async def aupdate(self) -> None:
        """`update` for asynchronous code."""
        async with async_client() as api:
            await _update(self, api)

    def update(self, *, _sync: bool | None = None) -> Any:
        """Put it in the place of what the API holds under its `id`.

        Raises:
            ValueError: it has no `id`, or the API holds none with that.
        """
        return _update_now(self, _sync=_sync)

    @classmethod
    async def aread(cls, id: UUID | None = None, name: str | None = None) -> Self:
        """`read` for asynchronous code."""
        async with async_client() as api:
            return await _read(cls, api, id, name)

    @classmethod
    def read(cls, id: UUID | None = None, name: str | None = None, *, _sync: bool | None = None) -> Any:
        """The automation of an id or of a name.

        Args:
            id: of the automation.
            name: of the automation; the first one, if several are called that.

        Raises:
            ValueError: both or none are given, or there is no such automation.
        """
        return _read_now(cls, id, name, _sync=_sync)

    async def adelete(self) -> bool:
        """`delete` for asynchronous code."""
        async with async_client() as api:
            return await _delete(self, api)

    def delete(self, *, _sync: bool | None = None) -> Any:
        """Delete it; returns whether it was there.

        Raises:
            ValueError: it has no `id`.
        """
        return _delete_now(self, _sync=_sync)

    async def aenable(self) -> bool:
        """`enable` for asynchronous code."""
        async with async_client() as api:
            return await _switch(self, api, True)

    def enable(self, *, _sync: bool | None = None) -> Any:
        """Let it act; returns whether it is there.

        Raises:
            ValueError: it has no `id`.
        """
        return _enable_now(self, _sync=_sync)

    async def adisable(self) -> bool:
        """`disable` for asynchronous code."""
        async with async_client() as api:
            return await _switch(self, api, False)

    def disable(self, *, _sync: bool | None = None) -> Any:
        """Let it do nothing, until it is enabled; returns whether it is there.

        Raises:
            ValueError: it has no `id`.
        """
        return _disable_now(self, _sync=_sync)


def _id(automation: Automation) -> UUID:
    if automation.id is None:
        raise ValueError(f"Automation {automation.name!r} has no id: create() or read() it first.")
    return automation.id


async def _create(automation: Any, api: Any) -> Any:
    core = AutomationCore.model_validate(automation.model_dump(mode="json", exclude={"id"}))
    automation.id = await settle(api.create_automation(core))
    return automation


async def _update(automation: Automation, api: Any) -> None:
    id = _id(automation)
    # a server takes neither the id nor the owner here
    fields = automation.model_dump(mode="json", exclude={"id", "owner_resource"})
    try:
        await settle(api.update_automation(id, AutomationCore.model_validate(fields)))
    except ObjectNotFound as exc:
        raise _unknown(f"id {id}") from exc


async def _read(cls: Any, api: Any, id: UUID | None, name: str | None) -> Any:
    if (id is None) == (name is None):
        raise ValueError("Give either the id or the name of the automation.")
    if id is not None:
        found = await settle(api.find_automation(UUID(str(id))))
        if found is None:
            raise _unknown(f"id {id}")
    else:
        named = await settle(api.read_automations_by_name(name=name))
        if not named:
            raise _unknown(f"name {name!r}")
        found = named[0]
    return cls.model_validate(found.model_dump())


async def _delete(automation: Automation, api: Any) -> bool:
    try:
        await settle(api.delete_automation(_id(automation)))
    except ObjectNotFound:
        return False
    return True


async def _switch(automation: Automation, api: Any, enabled: bool) -> bool:
    id = _id(automation)
    try:
        await settle(api.resume_automation(id) if enabled else api.pause_automation(id))
    except ObjectNotFound:
        return False
    automation.enabled = enabled
    return True


def _unknown(key: str) -> ValueError:
    return ValueError(f"There is no automation with the {key}. `prefect automation ls` lists what there is.")


# the methods above as functions, so that they can be dispatched by the running loop


@async_dispatch(lambda automation: automation.acreate())
def _create_now(automation: Automation) -> Automation:
    with sync_client() as api:
        return run(_create(automation, api))


@async_dispatch(lambda automation: automation.aupdate())
def _update_now(automation: Automation) -> None:
    with sync_client() as api:
        run(_update(automation, api))


@async_dispatch(lambda cls, *args: cls.aread(*args))
def _read_now(cls: type[Automation], *args: Any) -> Automation:
    with sync_client() as api:
        return run(_read(cls, api, *args))


@async_dispatch(lambda automation: automation.adelete())
def _delete_now(automation: Automation) -> bool:
    with sync_client() as api:
        return run(_delete(automation, api))


@async_dispatch(lambda automation: automation.aenable())
def _enable_now(automation: Automation) -> bool:
    with sync_client() as api:
        return run(_switch(automation, api, True))


@async_dispatch(lambda automation: automation.adisable())
def _disable_now(automation: Automation) -> bool:
    with sync_client() as api:
        return run(_switch(automation, api, False))
