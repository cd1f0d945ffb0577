"""Finding the route of a request among two hundred.

Starlette asks one route after the other whether it matches, which for a route far down the list costs more than to
answer. Most paths of the API have no parameters: those are looked up. Of the others, only those are asked that have as
many segments as the path, and the same one where each has its noun.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from starlette.routing import BaseRoute, Match, Route, Router, WebSocketRoute
from starlette.types import Lifespan, Receive, Scope, Send

_PARAMETER = re.compile(r"{\w+(:\w+)?}")


class Table(Router):
    """Routes, which are found by their paths.

    Args:
        routes: the routes; what is found is what asking one after the other would find.
        prefix: what the paths of the API begin with, such as `/api`.
        lifespan: what goes on around all requests, as Starlette has it.
    """

    def __init__(self, routes: Sequence[BaseRoute], prefix: str, lifespan: Lifespan[Any]) -> None:
        super().__init__(routes, lifespan=lifespan)
        self._noun_place = prefix.count("/") + 1
        self._exact: dict[str, list[BaseRoute]] = defaultdict(list)
        self._by_shape: dict[tuple[int, str], list[BaseRoute]] = defaultdict(list)
        self._others: list[BaseRoute] = []
        for route in routes:
            self._put(route)

    def _put(self, route: BaseRoute) -> None:
        path = route.path if isinstance(route, Route | WebSocketRoute) else None
        parameters = [found[1] for found in _PARAMETER.finditer(path)] if path is not None else []
        shape = self._shape(_PARAMETER.sub("{}", path)) if path is not None else (0, "{}")
        if path is not None and not parameters:
            self._exact[path].append(route)
        elif ":path" in parameters or "{}" in shape[1]:
            self._others.append(route)
        else:
            self._by_shape[shape].append(route)

    def _shape(self, path: str) -> tuple[int, str]:
        parts = path.split("/")
        return len(parts), parts[self._noun_place] if len(parts) > self._noun_place else ""

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to its route; what has none is Starlette's affair: its redirects, and that nothing is there."""
        if scope["type"] != "lifespan" and not scope.get("root_path"):
            path = scope["path"]
            for candidates in (self._exact.get(path, ()), self._by_shape.get(self._shape(path), ()), self._others):
                if await self._handled(candidates, scope, receive, send):
                    return
        await super().app(scope, receive, send)

    async def _handled(self, routes: Iterable[BaseRoute], scope: Scope, receive: Receive, send: Send) -> bool:
        for route in routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope["router"] = self
                scope["route"] = route
                scope.update(found)
                await route.handle(scope, receive, send)
                return True
        return False
