"""The sandbox of templates: nothing can be changed, and little cannot be made into much."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from prefect.utilities import urls
else:
    urls = lazy_module("prefect.utilities.urls")  # a door, which loads an HTTP library

_LONGEST_RANGE = 10_000
# parts of the language that call themselves, load other templates, or keep what a loop made for its next turn
_REFUSED = (nodes.Macro, nodes.CallBlock, nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block)
_REFUSED_FILTERS = frozenset({"center", "format", "indent", "batch", "slice", "replace", "wordwrap", "pprint"})
_REFUSED_METHODS = frozenset(
    {"center", "ljust", "rjust", "zfill", "format", "format_map", "expandtabs", "replace", "join", "translate"}
)


class Limits:
    """How much a template may make, and until when.

    Args:
        until: the end, of `time.monotonic`.
        longest: characters of a text, members of a list.
    """

    def __init__(self, until: float = float("inf"), longest: int = 250_000) -> None:
        self._until = until
        self._longest = longest

    def tick(self) -> str:
        """Go on, unless the time is over."""
        if time.monotonic() > self._until:
            raise SecurityError("The template takes too long.")
        return ""

    def check(self, size: int) -> None:
        """Refuse what is too large."""
        if size > self._longest:
            raise SecurityError(f"The template makes more than {self._longest:,} characters.")

    def join(self, *parts: Any) -> str:
        """Texts, put together."""
        texts = [str(part) for part in parts]
        self.check(sum(map(len, texts)))
        return "".join(texts)

    def range(self, *bounds: int) -> range:
        """Numbers, not too many."""
        numbers = range(*bounds)
        if len(numbers) > _LONGEST_RANGE:
            raise SecurityError(f"range() makes {_LONGEST_RANGE:,} numbers at most.")
        return numbers


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, limits: Limits) -> None:
        super().__init__(autoescape=False, finalize=lambda value: "" if value is None else value)
        self._limits = limits
        for name in _REFUSED_FILTERS:
            self.filters.pop(name, None)
        self.filters["ui_url"] = _ui_url
        self.globals = {"range": limits.range, "_tick": limits.tick, "_join": limits.join}

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        for loop in source.find_all(nodes.For):
            loop.body.insert(0, nodes.Output([_call("_tick", [])], lineno=loop.lineno))
        _replace_concat(source)
        source.set_environment(self)
        return super()._generate(source, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        self._limits.tick()
        if operator == "**":
            raise SecurityError("Templates may not use **.")
        if operator == "%" and isinstance(left, str):
            raise SecurityError("Templates may not format with %.")
        if operator == "*":
            for value, times in ((left, right), (right, left)):
                if hasattr(value, "__len__") and isinstance(times, int):
                    self._limits.check(len(value) * times)
        if operator == "+" and hasattr(left, "__len__") and hasattr(right, "__len__"):
            self._limits.check(len(left) + len(right))
        if isinstance(left, int) and isinstance(right, int):
            self._limits.check(left.bit_length() + right.bit_length())
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str | bytes) and attr in _REFUSED_METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)


def _ui_url(shown: Any) -> str:
    """The address of an object in the user interface."""
    kind, id = getattr(shown, "kind", None), shown.get("id") if isinstance(shown, dict) else None
    return (urls.url_for(kind, id) or "") if kind and id else ""


def _call(name: str, arguments: list[nodes.Expr]) -> nodes.Call:
    return nodes.Call(nodes.Name(name, "load"), arguments, [], None, None)


def _replace_concat(node: nodes.Node) -> None:
    for name, value in node.iter_fields():
        if isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, nodes.Node):
                    _replace_concat(item)
                if isinstance(item, nodes.Concat):
                    value[index] = _call("_join", item.nodes)
        elif isinstance(value, nodes.Node):
            _replace_concat(value)
            if isinstance(value, nodes.Concat):
                setattr(node, name, _call("_join", value.nodes))


def environment(limits: Limits | None = None) -> _Environment:
    """The sandbox, with its limits."""
    return _Environment(limits or Limits())


def refused(template: nodes.Template) -> tuple[int, str] | None:
    """The line and the name of what templates may not use; None when there is nothing of the kind."""
    for node in template.find_all(nodes.Node):
        what: str | None = None
        if isinstance(node, _REFUSED):
            what = f"{{% {type(node).__name__.lower()} %}}"
        elif isinstance(node, nodes.Filter) and node.name in _REFUSED_FILTERS:
            what = f"the filter {node.name!r}"
        elif isinstance(node, nodes.For) and node.recursive:
            what = "recursive loops"
        elif isinstance(node, nodes.Assign | nodes.AssignBlock) and _holds(node):
            # lists of lists of themselves are small, and large once they are written
            what = "lists in {% set %}"
        elif isinstance(node, nodes.Name) and node.name.startswith("_"):
            what = f"the name {node.name!r}"
        if what is not None:
            return node.lineno, what
    return None


def _holds(node: nodes.Node) -> bool:
    return node.find(nodes.List) is not None or node.find(nodes.Dict) is not None
