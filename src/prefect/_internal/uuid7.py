"""Ids that sort by time (RFC 9562, version 7)."""

from prefect._ids import new_uuid as uuid7

__all__ = ["uuid7"]
