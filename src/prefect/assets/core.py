"""What an asset is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from prefect._lazy import lazy_module
from prefect._schemas.base import PrefectBaseModel
from prefect._schemas.fields import ValidAssetKey

if TYPE_CHECKING:
    from prefect.assets import context as _context
else:
    _context = lazy_module("prefect.assets.context")

__all__ = ["MAX_ASSET_DESCRIPTION_LENGTH", "Asset", "AssetProperties", "add_asset_metadata"]

MAX_ASSET_DESCRIPTION_LENGTH = 2500


class AssetProperties(PrefectBaseModel):
    """What people want to know of an asset.

    Attributes:
        name: how people call it.
        url: where to look at it.
        description: Markdown, at most 2,500 characters.
        owners: who looks after it.
    """

    name: str | None = None
    url: str | None = None
    description: str | None = Field(default=None, max_length=MAX_ASSET_DESCRIPTION_LENGTH)
    owners: list[str] | None = None


class Asset(PrefectBaseModel):
    """A thing outside of the program that tasks make and read.

    Attributes:
        key: its address, such as `s3://bucket/table.parquet`: a URI of at most 512 characters.
        properties: what people want to know of it.
    """

    key: ValidAssetKey
    properties: AssetProperties | None = None

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Asset(key={self.key!r})"

    def add_metadata(self, metadata: dict[str, Any]) -> None:
        """Say more of this asset, in the task that makes it: see `add_asset_metadata`."""
        add_asset_metadata(self, metadata)


def add_asset_metadata(asset: str | Asset, metadata: dict[str, Any]) -> None:
    """Say more of an asset, in the task that makes it. It becomes the payload of the event that tells of that.

    Args:
        asset: the asset, or its key.
        metadata: more of what is said, such as `{"rows": 12}`.

    Raises:
        RuntimeError: no task is running.
        ValueError: the task does not make this asset.
    """
    context = _context.AssetContext.get()
    if context is None:
        raise RuntimeError(
            "Unable to call `add_asset_metadata` when not inside of an AssetContext: call it in the task that makes the asset."
        )
    context.add_asset_metadata(asset if isinstance(asset, str) else asset.key, metadata)


def as_assets(given: Iterable[str | Asset]) -> list[Asset]:
    """Assets, of which some may be given by their keys."""
    return [Asset(key=one) if isinstance(one, str) else one for one in given]
