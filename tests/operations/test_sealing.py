"""Secrets of blocks, encrypted where they are kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from prefect._operations import block_documents, sealing
from prefect._schemas.actions.blocks import BlockDocumentCreate, BlockDocumentUpdate
from prefect._schemas.blocks import BlockDocument
from prefect._store.tables import block_document, configuration
from prefect.settings import PREFECT_API_ENCRYPTION_KEY, temporary_settings

from .test_blocks import INNER, make_schema

PLAIN: dict[str, Any] = {**INNER, "title": "Plain", "secret_fields": [], "block_type_slug": "plain"}


def keep(tx: sa.Connection, slug: str, fields: dict[str, Any], data: dict[str, Any]) -> BlockDocument:
    schema = make_schema(tx, slug, fields)
    body = BlockDocumentCreate(name="mine", data=data, block_schema_id=schema.id, block_type_id=schema.block_type_id)
    return block_documents.create_block_document(tx, body)


def kept(tx: sa.Connection, document: BlockDocument) -> Any:
    return tx.execute(sa.select(block_document.c.data).where(block_document.c.id == document.id)).scalar_one()


def shown(tx: sa.Connection, document: BlockDocument) -> Any:
    return block_documents.read_block_document(tx, document.id, include_secrets=True).data


def keys(*keys: str) -> Any:
    return temporary_settings({PREFECT_API_ENCRYPTION_KEY: ",".join(keys)})


def new_key() -> str:
    return Fernet.generate_key().decode()


def test_secrets_are_not_kept_in_the_clear(both: sa.Connection) -> None:
    document = keep(both, "inner", INNER, {"s": "s3cret", "x": [1]})
    assert "s3cret" not in json.dumps(kept(both, document))
    assert shown(both, document) == {"s": "s3cret", "x": [1]}
    assert document.data == {"s": "********", "x": [1]}


def test_values_without_secrets_are_kept_as_they_are(both: sa.Connection) -> None:
    document = keep(both, "plain", PLAIN, {"s": "x"})
    assert kept(both, document) == {"s": "x"}
    assert both.execute(sa.select(configuration)).all() == []


def test_what_was_kept_in_the_clear_is_read_and_encrypted_when_it_is_written(both: sa.Connection) -> None:
    document = keep(both, "inner", INNER, {"s": "s3cret"})
    both.execute(sa.update(block_document).values(data={"s": "old", "x": 1}))
    assert shown(both, document) == {"s": "old", "x": 1}
    block_documents.update_block_document(both, document.id, BlockDocumentUpdate(data={"x": 2}))
    assert sealing.is_sealed(kept(both, document)) and shown(both, document) == {"s": "old", "x": 2}


def test_a_mask_that_is_sent_back_leaves_the_secret(both: sa.Connection) -> None:
    document = keep(both, "inner", INNER, {"s": "s3cret"})
    update = BlockDocumentUpdate(data={"s": "********", "x": 1}, merge_existing_data=False)
    block_documents.update_block_document(both, document.id, update)
    assert shown(both, document) == {"s": "s3cret", "x": 1}


def test_a_new_key_in_front_of_the_old_one(both: sa.Connection) -> None:
    old, new = new_key(), new_key()
    with keys(old):
        document = keep(both, "inner", INNER, {"s": "s3cret"})
    with keys(new, old):
        assert shown(both, document) == {"s": "s3cret"}
        block_documents.update_block_document(both, document.id, BlockDocumentUpdate(data={"x": 1}))
    with keys(new):
        assert shown(both, document) == {"s": "s3cret", "x": 1}
    with keys(old), pytest.raises(sealing.SecretsUnreadable, match="PREFECT_API_ENCRYPTION_KEY"):
        shown(both, document)
    assert both.execute(sa.select(configuration)).all() == []


def test_from_the_key_of_the_database_to_one_of_the_settings(both: sa.Connection) -> None:
    document = keep(both, "inner", INNER, {"s": "s3cret"})
    with keys(new_key()):
        assert shown(both, document) == {"s": "s3cret"}


def test_what_is_no_key(both: sa.Connection) -> None:
    with keys("nonsense"), pytest.raises(sealing.SecretsUnreadable, match="no key"):
        keep(both, "inner", INNER, {"s": "s3cret"})
