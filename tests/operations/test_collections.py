"""What comes with the package: its block types and its kinds of workers."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from prefect._operations import block_documents, block_schemas, block_types, collections
from prefect._operations.errors import Forbidden, NotFound
from prefect._schemas.actions.blocks import BlockDocumentCreate
from prefect._store.tables import block_type
from prefect.blocks import _system_types
from prefect.blocks.system import Secret


def test_the_files_are_current() -> None:
    assert _system_types.main(["--check"]) == 0


def test_system_block_types_are_installed_once(both: sa.Connection) -> None:
    block_types.install_system_block_types(both)
    block_types.install_system_block_types(both)
    found = {one.slug: one for one in block_types.read_block_types(both, block_types.BlockTypeQuery())}
    assert len(found) == 15 and {slug for slug, one in found.items() if one.is_protected} == {
        "local-file-system", "secret", "webhook",
    }  # fmt: skip
    with pytest.raises(Forbidden):
        block_types.delete_block_type(both, found["secret"].id)
    schemas = block_schemas.read_block_schemas(both, block_schemas.BlockSchemaQuery())
    assert sorted(schema.block_type.slug for schema in schemas if schema.block_type) == sorted(found)


def test_an_installed_type_is_the_one_of_the_class(both: sa.Connection) -> None:
    block_types.install_system_block_types(both)
    schema = block_schemas.read_block_schema_by_checksum(both, Secret._calculate_schema_checksum())
    body = BlockDocumentCreate(
        name="mine", data={"value": "x"}, block_schema_id=schema.id, block_type_id=schema.block_type_id
    )
    assert block_documents.create_block_document(both, body).data == {"value": "********"}


def test_views(both: sa.Connection) -> None:
    workers = collections.read_view_content(both, "aggregate-worker-metadata")
    assert "job_configuration" in workers["prefect"]["process"]["default_base_job_configuration"]
    blocks = collections.read_view_content(both, "aggregate-block-metadata")
    assert blocks["prefect"]["block_types"]["secret"]["block_schema"]["fields"]["secret_fields"] == ["value", "value"]
    assert collections.read_view_content(both, "aggregate-flow-metadata") == {}
    with pytest.raises(NotFound):
        collections.read_view_content(both, "another")


def test_what_was_installed_is_not_installed_again(both: sa.Connection) -> None:
    block_types.install_new_system_block_types(both)
    both.execute(sa.delete(block_type).where(block_type.c.slug == "webhook"))
    block_types.install_new_system_block_types(both)
    assert len(block_types.read_block_types(both, block_types.BlockTypeQuery())) == 14
    block_types.install_system_block_types(both)
    assert len(block_types.read_block_types(both, block_types.BlockTypeQuery())) == 15
