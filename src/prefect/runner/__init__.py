"""Serving deployments from a process, and where the code of flows is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect.runner.runner import Runner

__getattr__, __dir__, _ = lazy_attributes(__name__, {"Runner": "prefect.runner.runner"})

__all__ = ["Runner"]
