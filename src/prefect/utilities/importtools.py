"""Import objects, modules and scripts by name or path."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NamedTuple

from prefect._lazy import lazy_module
from prefect._scripts import load_script_as_module, on_path, safe_load_namespace

__all__ = [
    "AliasedModuleDefinition",
    "AliasedModuleFinder",
    "AliasedModuleLoader",
    "DelayedImportErrorModule",
    "from_qualified_name",
    "import_object",
    "lazy_import",
    "load_module",
    "load_script_as_module",
    "safe_load_namespace",
    "to_qualified_name",
]


def to_qualified_name(obj: Any) -> str:
    """The name under which a class or function can be imported again: `package.module.Class.method`."""
    return f"{obj.__module__}.{obj.__qualname__}"


def from_qualified_name(name: str) -> Any:
    """Import a module, or an object in one, by its dotted name.

    Raises:
        ModuleNotFoundError: no leading part of the name is a module.
        AttributeError: the module has no such attribute.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        parent, _, attribute = name.rpartition(".")
        missing = error.name or ""
        if not parent or not (missing == name or name.startswith(f"{missing}.")):
            raise
    return getattr(from_qualified_name(parent), attribute)


def load_module(module_name: str) -> ModuleType:
    """Import a module by name; the working directory is searched first."""
    with on_path(os.getcwd()):
        importlib.invalidate_caches()
        return importlib.import_module(module_name)


def import_object(import_path: str) -> Any:
    """Import an object by the place it is in.

    Args:
        import_path: `path/to/script.py:name`, `package.module:name` or `package.module.name`; the name may have dots after
            a colon (`Class.method`).

    Raises:
        ValueError: the text has none of these forms.
        ScriptError: the script raised an exception.
        ModuleNotFoundError: there is no such module.
        AttributeError: there is no such name in it.
    """
    place, colon, name = import_path.rpartition(":")
    if colon and place.endswith(".py"):
        found: Any = load_script_as_module(place)
    elif colon:
        found = load_module(place)
    else:
        place, dot, name = import_path.rpartition(".")
        if not dot:
            raise ValueError(
                f"{import_path!r} does not say which object to import; "
                "write 'path/to/script.py:name', 'package.module:name' or 'package.module.name'."
            )
        found = load_module(place)
    for part in name.split("."):
        found = getattr(found, part)
    return found


class DelayedImportErrorModule(ModuleType):
    """Stands in for a module that is not installed, and says so when it is used.

    Args:
        error_message: what is missing.
        help_message: how to get it.
    """

    def __init__(self, error_message: str, help_message: str | None = None) -> None:
        super().__init__("DelayedImportErrorModule")
        self.__error_message = error_message
        self.__help_message = help_message

    def __getattr__(self, attr: str) -> Any:
        if attr.startswith("__") and attr.endswith("__"):
            # what Python and its tools look up on any module
            raise AttributeError(attr)
        help_message = f"\n{self.__help_message}" if self.__help_message else ""
        raise ModuleNotFoundError(f"{self.__error_message}{help_message}")


def lazy_import(name: str, error_on_import: bool = False, help_message: str | None = None) -> ModuleType:
    """Return a module that is imported when first used.

    Args:
        name: the module.
        error_on_import: raise at once if the module is not installed, instead of when it is used.
        help_message: added to the error, for example how to install the module.

    Raises:
        ModuleNotFoundError: the module is not installed and `error_on_import` is set.
    """
    if name in sys.modules:
        return sys.modules[name]
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # a parent package is missing
        spec = None
    if spec is not None:
        return lazy_module(name)
    message = f"No module named {name!r}."
    if error_on_import:
        raise ModuleNotFoundError(f"{message}\n{help_message}" if help_message else message)
    return DelayedImportErrorModule(message, help_message)


class AliasedModuleDefinition(NamedTuple):
    """An old module name and the one it stands for.

    Attributes:
        alias: the old name, the start of what is imported.
        real: the name of the module that is loaded in its place.
        callback: called with the alias when it is imported (to warn, for example).
    """

    alias: str
    real: str
    callback: Callable[[str], None] | None


class AliasedModuleFinder(MetaPathFinder):
    """Lets modules be imported under other names; an instance goes to `sys.meta_path`.

    Args:
        aliases: the names; submodules are found under the alias too.
    """

    def __init__(self, aliases: Iterable[AliasedModuleDefinition]) -> None:
        self.aliases = list(aliases)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the real module for an alias, or None for any other name."""
        for alias, real, callback in self.aliases:
            if fullname == alias or fullname.startswith(f"{alias}."):
                real_name = real + fullname[len(alias) :]
                real_spec = importlib.util.find_spec(real_name)
                if real_spec is None:
                    return None
                loader = AliasedModuleLoader(fullname, callback, real_spec)
                is_package = real_spec.submodule_search_locations is not None
                return ModuleSpec(fullname, loader, origin=real_spec.origin, is_package=is_package)
        return None


class AliasedModuleLoader(Loader):
    """Gives the real module for an alias.

    Args:
        alias: the name that is imported.
        callback: called with the alias.
        real_spec: the real module.
    """

    def __init__(self, alias: str, callback: Callable[[str], None] | None, real_spec: ModuleSpec) -> None:
        self.alias = alias
        self.callback = callback
        self.real_spec = real_spec

    def exec_module(self, module: ModuleType) -> None:
        """Import the real module and enter it under the alias as well."""
        real = importlib.import_module(self.real_spec.name)
        if self.callback is not None:
            self.callback(self.alias)
        sys.modules[self.alias] = real
