"""Python source in files: run it as a module, or look into it without running it.

A flow is often known only by the file it is in. `load_script_as_module` runs the file. Where running it is unwanted, or fails for
want of a package that only the flow's own environment has, the source is read as a syntax tree, and
`safe_load_namespace` runs just its imports, definitions and assignments, those that work.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import FileFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from prefect._parsing import undisturbed
from prefect.exceptions import ScriptError

_loading = threading.RLock()  # sys.path and sys.modules are shared by all threads

Definition = ast.FunctionDef | ast.AsyncFunctionDef
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


# ── running a file ──


def load_script_as_module(path: str | Path) -> ModuleType:
    """Run a Python file and return it as a module.

    Its directory goes to the front of `sys.path` and stays there, as with `python file.py`: the script, and later its functions,
    can import what is beside it. The module is entered in `sys.modules` so that its classes can be pickled; under the
    file's own name if that means nothing else, else under a name of its own. `__name__` is not `"__main__"`.

    Args:
        path: the file.

    Returns:
        The module. The file is run anew at each call.

    Raises:
        ScriptError: the file could not be read or raised an exception; `user_exc` is that exception.
    """
    file = Path(path).expanduser().resolve()
    with _loading:
        if str(file.parent) not in sys.path:
            sys.path.insert(0, str(file.parent))
        beside: Any = sys.path_importer_cache.get(str(file.parent))
        if isinstance(beside, FileFinder):
            beside.invalidate_caches()  # the file, or one beside it, may be a moment old
        name = _module_name(file)
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise ScriptError(user_exc=ImportError(f"{str(file)!r} is not a Python file"), path=str(path))
        module = importlib.util.module_from_spec(spec)
        previous = sys.modules.get(name)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            if previous is None:
                del sys.modules[name]
            else:
                sys.modules[name] = previous
            raise ScriptError(user_exc=error, path=str(path)) from error
        return module


def _module_name(file: Path) -> str:
    """The file's stem if importing that would give this very file and it has not been, else a name made of its path."""
    own = f"__prefect_loader_{hashlib.sha256(str(file).encode()).hexdigest()[:16]}__"
    name = file.stem
    if not name.isidentifier() or name == "__main__":
        return own
    if name in sys.modules:
        loaded = getattr(sys.modules[name], "__file__", None)
        return name if loaded and Path(loaded).resolve() == file and sys.modules[name].__name__ == name else own
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return own
    return name if spec is not None and spec.origin and Path(spec.origin).resolve() == file else own


@contextmanager
def on_path(directory: str | None) -> Iterator[None]:
    """Put a directory at the front of `sys.path` for a while."""
    if directory is None:
        yield
        return
    with _loading:
        sys.path.insert(0, directory)
        try:
            yield
        finally:
            if directory in sys.path:
                sys.path.remove(directory)


# ── looking into source ──


def syntax_tree(source: str) -> ast.Module:
    """Parse a module, also beside other threads that parse.

    Raises:
        SyntaxError: it is not Python.
        ValueError: it has null characters.
    """
    return undisturbed(lambda: ast.parse(source))


def find_definition(source: str, qualified_name: str) -> Definition | None:
    """Find the function of that name (`function`, or `Class.method`) at the top level of a module's source."""
    *classes, name = qualified_name.split(".")
    body: list[ast.stmt] = syntax_tree(source).body
    for class_name in classes:
        found = [node for node in body if isinstance(node, ast.ClassDef) and node.name == class_name]
        if not found:
            return None
        body = found[-1].body
    functions = [node for node in body if isinstance(node, _DEFINITIONS) and node.name == name]
    return functions[-1] if functions else None


def safe_load_namespace(source_code: str, filepath: str | None = None) -> dict[str, Any]:
    """Run what defines names in a module's source, and return the names.

    Imports (also those for type checkers only, and in `try` blocks), classes, functions and assignments are run one by one. What
    raises is left out, as are all other statements.

    Args:
        source_code: the source.
        filepath: where it comes from; its directory can be imported from meanwhile.
    """
    namespace: dict[str, Any] = {"__name__": "prefect_safe_namespace_loader"}
    if filepath is not None:
        namespace["__file__"] = filepath
    # classes look their module up (dataclasses do)
    module = ModuleType(namespace["__name__"])
    module.__dict__.update(namespace)
    namespace = module.__dict__
    directory = str(Path(filepath).resolve().parent) if filepath else None
    with on_path(directory), _loading:
        sys.modules[module.__name__] = module
        try:
            for statement in _naming_statements(syntax_tree(source_code).body):
                run_statement(statement, namespace, filepath)
        finally:
            del sys.modules[module.__name__]
    names = {name: value for name, value in namespace.items() if name not in _MODULE_NAMES}
    return {"__name__": module.__name__, **names}


_MODULE_NAMES = frozenset(("__name__", "__doc__", "__package__", "__loader__", "__spec__", "__builtins__", "__file__"))


def run_statement(statement: ast.stmt, namespace: dict[str, Any], filepath: str | None = None) -> Exception | None:
    """Run one statement; return what it raised."""
    tree = ast.fix_missing_locations(ast.Module([statement], []))
    try:
        exec(compile(tree, filepath or "<string>", "exec"), namespace)
    except Exception as error:  # any code can raise anything; what fails defines no name
        return error
    return None


def _naming_statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _single_imports(node)
        elif isinstance(node, ast.ClassDef | ast.Assign | ast.AnnAssign | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        elif isinstance(node, ast.Try):
            imports = [statement for statement in node.body if isinstance(statement, ast.Import | ast.ImportFrom)]
            yield from _naming_statements(imports)
        elif isinstance(node, ast.If) and _is_for_checkers(node.test):
            yield from _naming_statements(node.body)


def _single_imports(node: ast.Import | ast.ImportFrom) -> Iterator[ast.stmt]:
    """Split an import so that a name that is not there does not cost the others."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield ast.Import([alias])
        else:
            yield ast.ImportFrom(node.module, [alias], node.level)


def _is_for_checkers(test: ast.expr) -> bool:
    return getattr(test, "id", getattr(test, "attr", None)) == "TYPE_CHECKING"
