"""Made from `_methods/automations.py` by `python -m prefect.client._methods --write`. Change that file, not this one."""

# fmt: off

from __future__ import annotations

from uuid import UUID

import pydantic

from prefect.client._sync_methods.base import Asking
from prefect.client._wire import read_id


class AutomationMethods(Asking):
    """Automations, as far as they need no type of their own: to make, change, pause and delete them."""

    def create_automation(self, automation: pydantic.BaseModel) -> UUID:
        """Make an automation; returns its id."""
        body = automation.model_dump(mode="json")
        return read_id(self._call("POST", "/automations/", body, repeatable=False))

    def update_automation(self, automation_id: UUID, automation: pydantic.BaseModel) -> None:
        """Replace an automation.

        Raises:
            ObjectNotFound: there is no such automation.
        """
        body = automation.model_dump(mode="json", exclude_unset=True)
        self._call("PUT", "/automations/{id}", body, id=automation_id)

    def pause_automation(self, automation_id: UUID) -> None:
        """Let an automation do nothing for now.

        Raises:
            ObjectNotFound: there is no such automation.
        """
        self._call("PATCH", "/automations/{id}", {"enabled": False}, id=automation_id)

    def resume_automation(self, automation_id: UUID) -> None:
        """Let a paused automation act again.

        Raises:
            ObjectNotFound: there is no such automation.
        """
        self._call("PATCH", "/automations/{id}", {"enabled": True}, id=automation_id)

    def delete_automation(self, automation_id: UUID) -> None:
        """Delete an automation.

        Raises:
            ObjectNotFound: there is no such automation.
        """
        self._call("DELETE", "/automations/{id}", id=automation_id)

    def delete_resource_owned_automations(self, resource_id: str) -> None:
        """Delete the automations that belong to a resource, such as `prefect.deployment.<id>`."""
        self._call("DELETE", "/automations/owned-by/{resource_id}", resource_id=resource_id)
