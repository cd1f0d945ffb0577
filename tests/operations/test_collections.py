"""What comes with the package: its block types and its kinds of workers."""

from __future__ import annotations

import json
import re

import pytest
import sqlalchemy as sa

from prefect._operations import block_documents, block_schemas, block_types, collections, system_blocks, work_pools
from prefect._operations.errors import Forbidden, NotFound
from prefect._schemas.actions.blocks import BlockDocumentCreate
from prefect._schemas.actions.work_pools import WorkPoolCreate
from prefect._store.tables import block_type
from prefect.blocks import _system_types
from prefect.blocks.system import Secret


def test_the_files_are_current() -> None:
    assert _system_types.main(["--check"]) == 0


def test_system_block_types_are_installed_once(both: sa.Connection) -> None:
    system_blocks.install(both)
    system_blocks.install(both)
    found = {one.slug: one for one in block_types.read_block_types(both, block_types.BlockTypeQuery())}
    assert len(found) == 15 and {slug for slug, one in found.items() if one.is_protected} == {
        "local-file-system", "secret", "webhook",
    }  # fmt: skip
    with pytest.raises(Forbidden):
        block_types.delete_block_type(both, found["secret"].id)
    schemas = block_schemas.read_block_schemas(both, block_schemas.BlockSchemaQuery())
    assert sorted(schema.block_type.slug for schema in schemas if schema.block_type) == sorted(found)


def test_an_installed_type_is_the_one_of_the_class(both: sa.Connection) -> None:
    system_blocks.install(both)
    schema = block_schemas.read_block_schema_by_checksum(both, Secret._calculate_schema_checksum())
    body = BlockDocumentCreate(
        name="mine", data={"value": "x"}, block_schema_id=schema.id, block_type_id=schema.block_type_id
    )
    assert block_documents.create_block_document(both, body).data == {"value": "********"}


def test_views(both: sa.Connection) -> None:
    workers = collections.read_view_content(both, "aggregate-worker-metadata")
    assert "job_configuration" in workers["prefect"]["process"]["default_base_job_configuration"]
    assert {type for types in workers.values() for type in types} == {
        "process", "docker", "kubernetes", "ecs", "azure-container-instance", "cloud-run", "cloud-run-v2", "vertex-ai",
    }  # fmt: skip
    blocks = collections.read_view_content(both, "aggregate-block-metadata")
    assert blocks["prefect"]["block_types"]["secret"]["block_schema"]["fields"]["secret_fields"] == ["value", "value"]
    assert collections.read_view_content(both, "aggregate-flow-metadata") == {}
    with pytest.raises(NotFound):
        collections.read_view_content(both, "another")


def test_every_kind_of_worker_can_have_a_pool(both: sa.Connection) -> None:
    workers = collections.read_view_content(both, "aggregate-worker-metadata")
    for kind in (kind for kinds in workers.values() for kind in kinds.values()):
        template = kind["default_base_job_configuration"]
        made = work_pools.create_work_pool(
            both, WorkPoolCreate(name=kind["type"], type=kind["type"], base_job_template=template)
        )
        assert made.base_job_template == template
        variables = template["variables"]["properties"]
        asked_for = set(re.findall(r"{{ (\w+) }}", json.dumps(template["job_configuration"])))
        assert asked_for - variables.keys() == set(), kind["type"]
        assert all(variable["title"] and variable["description"] for variable in variables.values()), kind["type"]


def test_what_was_installed_is_not_installed_again(both: sa.Connection) -> None:
    system_blocks.install_new(both)
    both.execute(sa.delete(block_type).where(block_type.c.slug == "webhook"))
    system_blocks.install_new(both)
    assert len(block_types.read_block_types(both, block_types.BlockTypeQuery())) == 14
    system_blocks.install(both)
    assert len(block_types.read_block_types(both, block_types.BlockTypeQuery())) == 15
