"""What flows and tasks are alike: a function that is bound to objects as functions are, and drawn instead of run."""

from __future__ import annotations

import copy
from types import MethodType
from typing import Any, Self

from prefect._engine.options import Kind
from prefect._lazy import imported
from prefect._parameters.binding import FunctionSpec


class Decorated:
    """A function with the options of a flow or a task."""

    name: str
    fn: Any
    spec: FunctionSpec
    isasync: bool
    _kind: Kind

    @property
    def ismethod(self) -> bool:
        """Whether the function is bound to an instance."""
        return isinstance(self.fn, MethodType) and not isinstance(self.fn.__self__, type)

    @property
    def isclassmethod(self) -> bool:
        """Whether the function is a class method."""
        return self._kind == "classmethod"

    @property
    def isstaticmethod(self) -> bool:
        """Whether the function is a static method."""
        return self._kind == "staticmethod"

    def _bound_to(self, instance: Any, owner: type | None) -> Self:
        """What this is as an attribute of an instance or, for a class method, of a class."""
        target = owner if self._kind == "classmethod" else instance
        if target is None or self._kind == "staticmethod":
            return self
        bound = copy.copy(self)
        bound.fn = self.fn.__get__(target, owner)
        bound.spec = FunctionSpec(bound.fn)
        return bound

    def _drawn(self, parameters: dict[str, Any], how: str = "call") -> tuple[Any] | None:
        """While a flow is being drawn, the stand-in for what the call gives; None at all other times."""
        module = imported("prefect.utilities.visualization")
        if module is None or module.get_task_viz_tracker() is None:
            return None
        value = getattr(self, "viz_return_value", None)
        if how == "submit":
            return (module.track_viz_submit(self.name, parameters, value),)
        if how == "map":
            return (module.track_viz_map(self.name, parameters, value),)
        return (module.track_viz_task(self.isasync, self.name, parameters, value),)
