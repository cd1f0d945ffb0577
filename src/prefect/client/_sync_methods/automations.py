"""Made from `_methods/automations.py` by `python -m prefect.client._methods --write`. Change that file, not this one."""

# fmt: off

from __future__ import annotations

from uuid import UUID

import pydantic

from prefect._schemas.automations import Automation
from prefect._schemas.filters.automations import AutomationFilter, AutomationFilterName
from prefect._schemas.sorting import AutomationSort
from prefect.client._sync_methods.base import Asking
from prefect.client.wire import given, read, read_all, read_id


class AutomationMethods(Asking):
    """Automations."""

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

    def read_automation(self, automation_id: UUID | str) -> Automation | None:
        """An automation; None when there is none of this id."""
        reply = self._call("GET", "/automations/{id}", allow={404}, id=automation_id)
        return None if reply.status == 404 else read(Automation, reply)

    def read_automations(
        self,
        *,
        automations: AutomationFilter | None = None,
        sort: AutomationSort | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Automation]:
        """The automations that match, by name unless asked otherwise.

        Args:
            automations: which; all of them unless given.
            sort: in which order.
            limit: at most so many; the API has its own limit (200 unless it is set otherwise).
            offset: leave out so many first.
        """
        body = given(automations=automations, sort=sort, limit=limit, offset=offset)
        return read_all(Automation, self._call("POST", "/automations/filter", body))

    def read_automations_by_name(self, name: str) -> list[Automation]:
        """The automations of a name, the newest last."""
        wanted = AutomationFilter(name=AutomationFilterName(any_=[name]))
        return self.read_automations(automations=wanted)

    def find_automation(self, id_or_name: UUID | str) -> Automation | None:
        """The automation of an id or a name, whose case does not matter; None when there is none.

        Args:
            id_or_name: the id, as text too, or the name.
        """
        try:
            id = UUID(str(id_or_name))
        except ValueError:
            named = self.read_automations_by_name(str(id_or_name))
            if named:
                return named[0]
            wanted, page = str(id_or_name).casefold(), 200
            for offset in range(0, 100_000, page):
                found = self.read_automations(limit=page, offset=offset)
                same = [one for one in found if one.name.casefold() == wanted]
                if same:
                    return same[0]
                if len(found) < page:
                    break
            return None
        return self.read_automation(id)

    def read_resource_related_automations(self, resource_id: str) -> list[Automation]:
        """The automations that belong to a resource, such as `prefect.deployment.<id>`, or act on it."""
        reply = self._call("GET", "/automations/related-to/{resource_id}", resource_id=resource_id)
        return read_all(Automation, reply)

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
