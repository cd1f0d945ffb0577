"""Find a flow by the place it is in: `path/to/file.py:flow`, `package.module:flow` or `file.py:Class.method`."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from prefect._lazy import lazy_module
from prefect._parameters.annotations import Unresolved, evaluate
from prefect._scripts import (
    Definition,
    find_definition,
    load_script_as_module,
    on_path,
    run_statement,
    safe_load_namespace,
)
from prefect.exceptions import MissingFlowError, ScriptError, UnspecifiedFlowError

if TYPE_CHECKING:
    from prefect import flows
    from prefect._parameters import docstrings, schema
    from prefect.flows import Flow
else:
    docstrings = lazy_module("prefect._parameters.docstrings")
    flows = lazy_module("prefect.flows")  # it offers the functions below
    schema = lazy_module("prefect._parameters.schema")


class Entrypoint:
    """The two parts of an entrypoint: the file or module, and the name in it."""

    def __init__(self, text: str) -> None:
        place, colon, name = text.rpartition(":")
        if colon and (len(place) > 1 or "\\" not in name):  # not the colon of a Windows drive
            self.place, self.name = place, name
        elif text.endswith(".py"):
            self.place, self.name = text, ""
        else:
            self.place, _, self.name = text.rpartition(".")
        if not self.place:
            raise ValueError(
                f"{text!r} is not an entrypoint; write 'path/to/file.py:flow_function' or 'package.module:flow_function'."
            )
        self.is_file = self.place.endswith(".py") or Path(self.place).is_file()

    def file(self) -> Path:
        """The source file.

        Raises:
            FileNotFoundError, ModuleNotFoundError: there is none.
        """
        if not self.is_file:
            with on_path(str(Path.cwd())):
                importlib.invalidate_caches()
                spec = importlib.util.find_spec(self.place)
            if spec is None or not spec.origin:
                raise ModuleNotFoundError(f"There is no module {self.place!r} with source.", name=self.place)
            return Path(spec.origin)
        file = Path(self.place).expanduser()
        if not file.is_file():
            raise FileNotFoundError(f"There is no file {self.place!r} (looked in {Path.cwd()}).")
        return file

    def module(self) -> ModuleType:
        if self.is_file:
            return load_script_as_module(self.file())
        with on_path(str(Path.cwd())):
            importlib.invalidate_caches()
            return importlib.import_module(self.place)

    def find(self, module: ModuleType) -> Any:
        found: Any = module
        for part in self.name.split("."):
            found = getattr(found, part)
        return found

    def definition(self) -> tuple[Definition, str, Path]:
        """The function's definition, the source and the file, without running anything.

        Raises:
            ValueError: the source does not define the function.
        """
        file = self.file()
        source = file.read_text(encoding="utf-8")
        definition = find_definition(source, self.name)
        if definition is None:
            raise ValueError(f"There is no definition of a function {self.name!r} in '{self.place}'.")
        return definition, source, file


# ── loading ──


def load_flow_from_entrypoint(entrypoint: str, use_placeholder_flow: bool = True) -> Flow[..., Any]:
    """Load a flow.

    Args:
        entrypoint: `path/to/file.py:flow_function`, `package.module:flow_function`, with `Class.method` for a method. Of a
            file with one flow the path is enough.
        use_placeholder_flow: if the file raises an exception (for want of a package, say), make a flow from what
            the source tells. Its parameters are known; running it runs the function's own code if that can be taken out of the
            file, and else raises the exception.

    Raises:
        MissingFlowError: there is no such flow; names those that are there.
        UnspecifiedFlowError: no name is given and there are several flows.
        ScriptError: the file raised an exception and `use_placeholder_flow` is not set; or it is no Python.
        FileNotFoundError, ModuleNotFoundError: there is no such file or module.
    """
    target = Entrypoint(entrypoint)
    try:
        module = target.module()
    except ScriptError as error:
        if not use_placeholder_flow or not target.name or isinstance(error.user_exc, SyntaxError):
            raise
        return safe_load_flow_from_entrypoint(entrypoint) or load_placeholder_flow(entrypoint, raises=error)
    if not target.name:
        return select_flow(_flows_in(module).values(), from_message=f"in '{target.place}'")
    try:
        found = target.find(module)
    except AttributeError:
        raise MissingFlowError(
            f"Flow function with name {target.name!r} not found in '{target.place}'. {_what_is_there(_flows_in(module))}"
        ) from None
    if not isinstance(found, flows.Flow):
        raise MissingFlowError(
            f"Function with name {target.name!r} in '{target.place}' is not a flow. "
            "Make sure that it is decorated with '@flow'."
        )
    return found


def load_function_and_convert_to_flow(entrypoint: str) -> Flow[..., Any]:
    """Load a function as a flow; one that is none yet becomes one whose prints are logged.

    Raises:
        MissingFlowError: there is no such function.
        ScriptError: the file raised an exception.
    """
    target = Entrypoint(entrypoint)
    module = target.module()
    try:
        found = target.find(module)
    except AttributeError:
        raise MissingFlowError(f"There is no function {target.name!r} in '{target.place}'.") from None
    if isinstance(found, flows.Flow):
        return found
    if not callable(found):
        raise MissingFlowError(f"{target.name!r} in '{target.place}' is not a function.")
    return flows.Flow(found, log_prints=True)


def select_flow(
    flows: Iterable[Flow[..., Any]], flow_name: str | None = None, from_message: str | None = None
) -> Flow[..., Any]:
    """Choose one of several flows.

    Args:
        flows: the flows.
        flow_name: the name of the wanted one; may be missing if there is only one.
        from_message: where the flows are from, for the error (`"in 'file.py'"`).

    Raises:
        MissingFlowError: there is no flow, or none of that name.
        UnspecifiedFlowError: there are several and no name is given.
    """
    by_name = {flow.name: flow for flow in flows}
    place = f" {from_message}" if from_message else ""
    if not by_name:
        raise MissingFlowError(f"No flows found{place}.")
    if flow_name is not None:
        if flow_name not in by_name:
            raise MissingFlowError(f"Flow {flow_name!r} not found{place}. {_what_is_there(by_name)}")
        return by_name[flow_name]
    if len(by_name) > 1:
        raise UnspecifiedFlowError(
            f"Found {len(by_name)} flows{place}: {', '.join(map(repr, sorted(by_name)))}. "
            "Specify a flow name to select one of them."
        )
    return next(iter(by_name.values()))


def _flows_in(module: ModuleType) -> dict[str, Flow[..., Any]]:
    """The flows that a module defines, by the name that an entrypoint uses."""
    found = {}
    for name, value in vars(module).items():
        if isinstance(value, flows.Flow):
            found[name] = value
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for attribute in vars(value):
                member = getattr(value, attribute, None)
                if isinstance(member, flows.Flow):
                    found[f"{name}.{attribute}"] = member
    return found


def _what_is_there(names: Collection[str]) -> str:
    if not names:
        return "No flows were found there."
    return f"Flows that are there: {', '.join(map(repr, sorted(names)))}."


# ── without running the file ──


def is_entrypoint_async(entrypoint: str) -> bool:
    """Whether the function of an entrypoint is an `async def`; the file is not run.

    Raises:
        ValueError: the source does not define the function.
    """
    return isinstance(Entrypoint(entrypoint).definition()[0], ast.AsyncFunctionDef)


def load_flow_arguments_from_entrypoint(entrypoint: str, arguments: Collection[str] | None = None) -> dict[str, Any]:
    """Read the arguments of a flow's decorator from source; the file is not run.

    Args:
        entrypoint: the flow.
        arguments: the names wanted; default all that can be worked out.

    Returns:
        The values of constants and of what the file's own imports, definitions and assignments are enough for. The name is always
        there.

    Raises:
        ValueError: the source does not define the function.
    """
    definition, source, file = Entrypoint(entrypoint).definition()
    found: dict[str, Any] = {}
    namespace: dict[str, Any] | None = None
    for keyword in _flow_keywords(definition):
        if keyword.arg is None or (arguments is not None and keyword.arg not in arguments):
            continue
        if isinstance(keyword.value, ast.Constant):
            found[keyword.arg] = keyword.value.value
            continue
        if namespace is None:
            namespace = safe_load_namespace(source, filepath=str(file))
        value, error = _evaluate_expression(keyword.value, namespace)
        if error is None:
            found[keyword.arg] = value
    if (arguments is None or "name" in arguments) and not found.get("name"):
        found["name"] = definition.name.replace("_", "-")
    return found


def _is_flow_decorator(decorator: ast.expr) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return getattr(target, "id", getattr(target, "attr", None)) == "flow"


def _flow_keywords(definition: Definition) -> list[ast.keyword]:
    calls = (item for item in definition.decorator_list if isinstance(item, ast.Call) and _is_flow_decorator(item))
    return next((call.keywords for call in calls), [])


def _evaluate_expression(expression: ast.expr, namespace: dict[str, Any]) -> tuple[Any, Exception | None]:
    try:
        return eval(compile(ast.Expression(expression), "<entrypoint>", "eval"), namespace), None
    except Exception as error:  # any code can raise anything
        return None, error


def safe_load_flow_from_entrypoint(entrypoint: str) -> Flow[..., Any] | None:
    """Load a flow without running the whole file.

    The file's imports, definitions and assignments are run, as far as they work. If that is not enough for the flow's own
    definition, it is tried without the annotations, decorators and defaults that fail.

    Returns:
        The flow, or None if it cannot be had this way.

    Raises:
        ValueError: the source does not define the function.
    """
    definition, source, file = Entrypoint(entrypoint).definition()
    namespace = safe_load_namespace(source, filepath=str(file))
    if definition.name in namespace and "." not in Entrypoint(entrypoint).name:
        found = namespace[definition.name]
        return found if isinstance(found, flows.Flow) else None
    with on_path(str(file.resolve().parent)):
        _keep_what_works(definition, namespace)
        if run_statement(definition, namespace, str(file)) is not None:
            return None
    found = namespace.get(definition.name)
    return found if isinstance(found, flows.Flow) else None


def _keep_what_works(definition: Definition, namespace: dict[str, Any]) -> None:
    """Take out of a definition the annotations, defaults and decorators (but for `flow`) that fail."""

    def works(expression: ast.expr) -> bool:
        return _evaluate_expression(expression, namespace)[1] is None

    every = definition.args
    for argument in [*every.posonlyargs, *every.args, *every.kwonlyargs, every.vararg, every.kwarg]:
        if argument is not None and argument.annotation is not None and not works(argument.annotation):
            argument.annotation = None
    if definition.returns is not None and not works(definition.returns):
        definition.returns = None
    nothing = ast.Constant(None)
    every.defaults = [default if works(default) else nothing for default in every.defaults]
    every.kw_defaults = [default if default is None or works(default) else nothing for default in every.kw_defaults]
    for decorator in definition.decorator_list:
        if isinstance(decorator, ast.Call) and _is_flow_decorator(decorator):
            decorator.keywords = [keyword for keyword in decorator.keywords if works(keyword.value)]
    definition.decorator_list = [item for item in definition.decorator_list if _is_flow_decorator(item) or works(item)]


def load_placeholder_flow(entrypoint: str, raises: BaseException) -> Flow[..., Any]:
    """Make a flow that has the name and options of one that could not be loaded, and raises the reason when it is run.

    Args:
        entrypoint: the flow.
        raises: what a run raises.

    Raises:
        ValueError: the source does not define the function.
    """

    def placeholder(*args: Any, **kwargs: Any) -> Any:
        raise raises

    async def async_placeholder(*args: Any, **kwargs: Any) -> Any:
        raise raises

    known = inspect.signature(flows.Flow.__init__).parameters
    options = load_flow_arguments_from_entrypoint(entrypoint)
    options.setdefault("description", ast.get_docstring(Entrypoint(entrypoint).definition()[0]))
    fn: Callable[..., Any] = async_placeholder if is_entrypoint_async(entrypoint) else placeholder
    return flows.Flow(fn, **{name: value for name, value in options.items() if name in known})


def parameter_schema_from_entrypoint(entrypoint: str) -> schema.ParameterSchema:
    """Describe the parameters of an entrypoint's function; the file is not run.

    Annotations that its imports, definitions and assignments are not enough for mean "anything".

    Raises:
        ValueError: the source does not define the function.
    """
    definition, source, file = Entrypoint(entrypoint).definition()
    namespace = safe_load_namespace(source, filepath=str(file))
    with on_path(str(file.resolve().parent)):
        parameters = _parameters_of(definition, namespace)
    return schema.schema_of_parameters(parameters, docstrings.parameter_descriptions(ast.get_docstring(definition)))


def _parameters_of(definition: Definition, namespace: dict[str, Any]) -> list[inspect.Parameter]:
    """The parameters of a definition, with annotations and defaults evaluated in a namespace."""
    kinds, every = inspect.Parameter, definition.args
    positional = [*every.posonlyargs, *every.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(every.defaults))
    defaults.extend(every.defaults)
    rows: list[tuple[ast.arg, Any, ast.expr | None]] = [
        (argument, kinds.POSITIONAL_ONLY if at < len(every.posonlyargs) else kinds.POSITIONAL_OR_KEYWORD, default)
        for at, (argument, default) in enumerate(zip(positional, defaults, strict=True))
    ]
    if every.vararg:
        rows.append((every.vararg, kinds.VAR_POSITIONAL, None))
    for argument, default in zip(every.kwonlyargs, every.kw_defaults, strict=True):
        rows.append((argument, kinds.KEYWORD_ONLY, default))
    if every.kwarg:
        rows.append((every.kwarg, kinds.VAR_KEYWORD, None))
    return [
        kinds(
            argument.arg,
            kind,
            default=kinds.empty if default is None else _evaluate_expression(default, namespace)[0],
            annotation=_annotation_of(argument, namespace),
        )
        for argument, kind, default in rows
    ]


def _annotation_of(argument: ast.arg, namespace: dict[str, Any]) -> Any:
    if argument.annotation is None:
        return inspect.Parameter.empty
    text = ast.unparse(argument.annotation)
    value, error = _evaluate_expression(argument.annotation, namespace)
    if error is not None:
        return Unresolved(text, str(error))
    return evaluate(value, namespace, {})
