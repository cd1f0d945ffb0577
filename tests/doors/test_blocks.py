"""Saved blocks, on the local database and on a server."""

from __future__ import annotations

from uuid import uuid4

import pytest
from pydantic import SecretStr

from prefect import get_client
from prefect.blocks.core import Block
from prefect.blocks.system import Secret

pytestmark = pytest.mark.usefixtures("api")


class Inner(Block):
    token: SecretStr


class Outer(Block):
    x: int
    inner: Inner


def test_a_secret_comes_back() -> None:
    name = f"s-{uuid4().hex}"
    Secret(value={"a": ["s3cret"]}).save(name)
    assert Secret.load(name).get() == {"a": ["s3cret"]}
    Secret(value="other").save(name, overwrite=True)
    assert Block.load(f"secret/{name}").get() == "other"  # type: ignore[attr-defined]
    with get_client(sync_client=True) as client:
        found = client.read_block_document_by_name(name, "secret", include_secrets=False)
        assert found.data == {"value": "********"}
    Secret.delete(name)
    with pytest.raises(ValueError, match="Unable to find"):
        Secret.load(name)


async def test_blocks_in_blocks() -> None:
    name = f"b-{uuid4().hex}"
    inner = Inner(token="s3cret")
    await inner.asave(name)
    await Outer(x=1, inner=inner).asave(name)
    loaded = await Outer.aload(name)
    assert (loaded.x, loaded.inner.token.get_secret_value()) == (1, "s3cret")
    await Inner(token="changed").asave(name, overwrite=True)
    assert (await Outer.aload(name)).inner.token.get_secret_value() == "changed"
