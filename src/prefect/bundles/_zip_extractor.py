"""Where published packages import it from."""

from __future__ import annotations

from prefect.bundles.zip_extractor import ZipExtractor

__all__ = ["ZipExtractor"]
