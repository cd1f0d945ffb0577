"""JSON schemas by pydantic 1, for functions whose parameters are all of its types."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic.v1 import BaseConfig, Field, create_model

from prefect._parameters.schema import REFERENCE


def process_v1_params(
    param: inspect.Parameter, *, position: int, docstrings: dict[str, str], aliases: dict[str, str]
) -> tuple[str, Any, Any]:
    """Turn a parameter into a field of a pydantic 1 model.

    Args:
        param: the parameter.
        position: its place in the signature, from 0.
        docstrings: the description of each parameter.
        aliases: filled with the real name for a field that had to be named otherwise.

    Returns:
        The field's name, type and definition, as `create_model` wants them.
    """
    name = param.name
    if hasattr(_Taken, name) or name.startswith("_"):
        name = f"{name.lstrip('_')}__"
        aliases[name] = param.name
    annotation = Any if param.annotation is param.empty else param.annotation
    default = ... if param.default is param.empty else param.default
    field = Field(
        default=default,
        title=param.name,
        description=docstrings.get(param.name),
        alias=aliases.get(name),
        position=position,
    )
    return name, annotation, field


_Taken: Any = create_model("Taken")


def create_v1_schema(
    name_: str, model_cfg: type[BaseConfig], model_fields: dict[str, tuple[Any, Any]] | None = None
) -> dict[str, Any]:
    """Return the JSON schema of a pydantic 1 model made of these fields.

    Args:
        name_: the model's name, the schema's title.
        model_cfg: its configuration.
        model_fields: name -> (type, field), as `process_v1_params` gives them.
    """
    model: Any = create_model(name_, __config__=model_cfg, **(model_fields or {}))  # type: ignore[call-overload]
    return model.schema(by_alias=True, ref_template=REFERENCE)
