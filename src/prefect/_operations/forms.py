"""What forms of a user interface ask for: whether values fit a schema, and small counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from prefect._lazy import lazy_module
from prefect._operations.errors import Invalid
from prefect._operations.registry import operation
from prefect._operations.run_parameters import variables_in
from prefect._schemas.base import PrefectBaseModel
from prefect._store.tables import deployment

if TYPE_CHECKING:
    from prefect.utilities import schema_tools
    from prefect.utilities.schema_tools import validation
else:
    # templates need jinja2, which most requests do not
    schema_tools = lazy_module("prefect.utilities.schema_tools")
    validation = lazy_module("prefect.utilities.schema_tools.validation")


class FlowsToCount(PrefectBaseModel):
    """Some flows."""

    flow_ids: list[UUID] = Field(max_length=200)


class SchemaValues(PrefectBaseModel):
    """Values, and the JSON schema that they are to fit."""

    json_schema: dict[str, Any] = Field(alias="schema")
    values: dict[str, Any]


class SchemaValuePropertyError(PrefectBaseModel):
    """What is wrong with a property of an object."""

    property: str
    errors: list[str | SchemaValuePropertyError | SchemaValueIndexError]


class SchemaValueIndexError(PrefectBaseModel):
    """What is wrong with an item of a list."""

    index: int
    errors: list[str | SchemaValuePropertyError | SchemaValueIndexError]


class SchemaValuesValidationResponse(PrefectBaseModel):
    """What is wrong with values, and where."""

    errors: list[str | SchemaValuePropertyError | SchemaValueIndexError]
    valid: bool


@operation("POST", "/ui/flows/count-deployments")
def count_deployments_by_flow(tx: sa.Connection, body: FlowsToCount) -> dict[UUID, int]:
    """How many deployments each of some flows has."""
    statement = sa.select(deployment.c.flow_id, sa.func.count()).where(deployment.c.flow_id.in_(body.flow_ids))
    found = dict(tx.execute(statement.group_by(deployment.c.flow_id)).tuples().all())
    return {id: found.get(id, 0) for id in body.flow_ids}


@operation("POST", "/ui/schemas/validate", lengthy=True)
def validate_values(tx: sa.Connection, body: SchemaValues) -> SchemaValuesValidationResponse:
    """Whether values fit a schema; templates are not rendered, and fit whatever is asked for.

    Raises:
        Invalid: the schema itself is faulty.
    """
    try:
        schema_tools.is_valid_schema(body.json_schema, preprocess=False)
        context = schema_tools.HydrationContext(
            workspace_variables=variables_in(tx, body.values), render_workspace_variables=True
        )
        errors = schema_tools.validate(schema_tools.hydrate(body.values, context), body.json_schema)
    except (ValueError, schema_tools.ValidationError, schema_tools.CircularSchemaRefError) as exc:
        text = str(exc)
        raise Invalid(text if text.startswith("Invalid schema") else f"Invalid schema: {text}") from exc
    return SchemaValuesValidationResponse.model_validate(validation.build_error_obj(errors))
