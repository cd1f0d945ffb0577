"""Running steps: functions named in a configuration, with inputs from it and from the steps before.

```yaml
- prefect.deployments.steps.run_shell_script:
    id: revision
    script: git rev-parse --short HEAD
- my_package.steps.tell:
    requires: my-package>=1.2
    text: "{{ revision.stdout }}"
```
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from logging import Logger
from typing import TYPE_CHECKING, Any

from prefect._deploying.references import Resolve, Values, client_or_new, environment_variable, fill_in
from prefect._deploying.requirements import ensure
from prefect._lazy import lazy_module
from prefect.utilities.annotations import NotSet

if TYPE_CHECKING:
    from prefect.utilities import templating
    from prefect.utilities.templating import PlaceholderType
else:
    templating = lazy_module("prefect.utilities.templating")

RESERVED = frozenset({"id", "requires"})
"""Keys beside a step's inputs."""

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


class StepExecutionError(Exception):
    """A step failed; the message says which one, and why. The cause is what it raised."""

    __module__ = "prefect.deployments.steps.core"


class StepError(ValueError):
    """A step is not written as it has to be."""


def take_apart(step: Any) -> tuple[str, dict[str, Any]]:
    """The name of a step's function, and what is given to it.

    Raises:
        StepError: it is not a dictionary with one key, the dotted name of a function.
    """
    if not isinstance(step, Mapping) or len(step) != 1:
        shown = ", ".join(map(repr, step)) if isinstance(step, Mapping) else repr(step)
        raise StepError(
            f"A step is a dictionary with one key, the name of its function; this one has {shown or 'none'}."
        )
    name, inputs = next(iter(step.items()))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise StepError(
            f"{name!r} is not the name of a function, such as 'prefect.deployments.steps.git_clone' or 'package.function'."
        )
    if inputs is not None and not isinstance(inputs, Mapping):
        raise StepError(f"The inputs of the step {name} must be a dictionary, not {type(inputs).__name__}.")
    return name, dict(inputs or {})


async def run_step(
    step: Mapping[str, Any], upstream_outputs: Mapping[str, Any] | None = None, say: Callable[[str], object] = print
) -> Any:
    """Run one step; see `run_steps` for how its inputs are filled in.

    Returns:
        What its function returns.

    Raises:
        StepError: the step is not written as it has to be, or a placeholder stands for nothing.
        Exception: what the function raised.
    """
    name, inputs = take_apart(step)
    requires = inputs.pop("requires", None)
    inputs.pop("id", None)
    if requires:
        await ensure(requires, say)
    function = _function(name)
    arguments = await fill_inputs(name, inputs, upstream_outputs or {})
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise StepError(f"The step {name} cannot be called with {sorted(arguments)}: {error}.") from error
    except ValueError:  # built in, without a signature
        pass
    result = function(**arguments)
    return await result if inspect.isawaitable(result) else result


async def fill_inputs(name: str, inputs: dict[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what a step is given.

    Raises:
        StepError: a placeholder names no output.
        MissingValueError: a placeholder names no block or variable.
    """

    async def output(path: str) -> Any:
        value = templating.apply_values(f"{{{{ {path} }}}}", outputs)
        if value is NotSet:
            known = ", ".join(sorted(map(str, outputs))) or "none"
            raise StepError(
                f"Nothing is known of {{{{ {path} }}}}, which the step {name} asks for: "
                f"no step before it has an output or an id of that name (there is: {known})."
            )
        return value

    kinds = {placeholder.type for placeholder in templating.find_placeholders(inputs)}
    value_of: dict[PlaceholderType, Resolve] = {
        templating.PlaceholderType.STANDARD: output,
        templating.PlaceholderType.ENV_VAR: environment_variable,
    }
    if not kinds & {templating.PlaceholderType.BLOCK_DOCUMENT, templating.PlaceholderType.VARIABLE}:
        return await fill_in(inputs, value_of) if kinds else inputs
    async with client_or_new(None) as client:
        values = Values(client, strict=True)
        value_of |= {
            templating.PlaceholderType.BLOCK_DOCUMENT: values.block,
            templating.PlaceholderType.VARIABLE: values.variable,
        }
        return await fill_in(inputs, value_of)


def _function(name: str) -> Callable[..., Any]:
    module_name, _, attribute = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            raise StepError(
                f"There is no module {error.name!r}, which the step {name} is in. Install its package, or name that "
                "in the step's `requires`."
            ) from error
        raise
    function = getattr(module, attribute, None)
    if not callable(function):
        raise StepError(f"The module {module_name!r} has no function {attribute!r}, which the step {name} names.")
    return function


async def run_steps(
    steps: list[dict[str, Any]] | None,
    upstream_outputs: dict[str, Any] | None = None,
    print_function: Callable[..., Any] = print,
    deployment: Any | None = None,
    flow_run: Any | None = None,
    logger: Logger | None = None,
) -> dict[str, Any]:
    """Run steps, one after the other. The arguments are those of `prefect.deployments.steps.core.run_steps`."""
    outputs = dict(upstream_outputs or {})
    tell = logger.info if logger is not None and print_function is print else print_function
    for step in steps or ():
        if not step:
            continue
        name = "a step"
        try:
            name, inputs = take_apart(step)
            tell(f" > Running {name.rpartition('.')[2]} step...")
            output = await run_step(step, outputs, tell)
        except Exception as error:  # a step can raise anything
            where = f" of the deployment {getattr(deployment, 'name', deployment)!r}" if deployment is not None else ""
            raise StepExecutionError(f"Encountered error while running {name}{where}: {describe(error)}") from error
        if isinstance(output, Mapping):
            if "id" in inputs:
                outputs[inputs["id"]] = output
            outputs.update(output)
    return outputs


def describe(error: BaseException) -> str:
    """What an error says, with its kind unless that is plain from the words."""
    text = str(error) or type(error).__name__
    return text if isinstance(error, (StepError, RuntimeError, ValueError)) else f"{type(error).__name__}: {text}"
