"""Emitting events."""

from prefect._events.emitting import emit_event

__all__ = ["emit_event"]
