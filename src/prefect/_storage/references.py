"""How a saved block is named in a pull step."""

from __future__ import annotations

from typing import Any


def is_reference(value: Any) -> bool:
    """Whether a value is a placeholder already."""
    return isinstance(value, str) and value.strip().startswith("{{") and value.strip().endswith("}}")


def reference_to(block: Any) -> str:
    """The placeholder for a saved block.

    Raises:
        ValueError: it is no block, or not saved.
    """
    if is_reference(block):
        return block
    if getattr(block, "_block_document_name", None) is None:
        raise ValueError(f"A {type(block).__name__} that is not saved as a block cannot be named in a pull step.")
    return "{{ " + block.get_block_placeholder() + " }}"
