"""Variables."""

from __future__ import annotations

from prefect._schemas.actions.records import VariableCreate, VariableUpdate
from prefect._schemas.variables import Variable
from prefect.client._methods.base import Asking
from prefect.client.wire import changes, given, read, read_all


class VariableMethods(Asking):
    """Variables: values with a name that flows can read."""

    async def create_variable(self, variable: VariableCreate) -> Variable:
        """Make a variable.

        Raises:
            ObjectAlreadyExists: there is a variable of this name.
        """
        reply = await self._call("POST", "/variables/", changes(variable), repeatable=False)
        return read(Variable, reply)

    async def update_variable(self, variable: VariableUpdate) -> None:
        """Change the variable of the name that the update gives.

        Raises:
            ObjectNotFound: there is no such variable.
        """
        await self._call("PATCH", "/variables/name/{name}", changes(variable), name=variable.name)

    async def read_variable_by_name(self, name: str) -> Variable | None:
        """The variable of a name; None when there is none."""
        reply = await self._call("GET", "/variables/name/{name}", allow={404}, name=name)
        return None if reply.status == 404 else read(Variable, reply)

    async def read_variables(self, limit: int | None = None) -> list[Variable]:
        """Variables by name, at most so many; the API has its own limit (200 unless it is set otherwise)."""
        return read_all(Variable, await self._call("POST", "/variables/filter", given(limit=limit)))

    async def delete_variable_by_name(self, name: str) -> None:
        """Delete the variable of a name.

        Raises:
            ObjectNotFound: there is no such variable.
        """
        await self._call("DELETE", "/variables/name/{name}", name=name)
