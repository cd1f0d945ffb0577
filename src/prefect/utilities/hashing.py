"""Hashes of texts, files and objects that are the same in every process."""

from prefect._hashing import file_hash, hash_objects, stable_hash

__all__ = ["file_hash", "hash_objects", "stable_hash"]
