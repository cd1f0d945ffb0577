"""Tags of the runs made in a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefect._engine.frames import current_tags


@contextmanager
def tags(*new_tags: str) -> Iterator[set[str]]:
    """Tag the flow and task runs made in the block, beside the tags of enclosing blocks.

    ```python
    with tags("nightly", "eu"):
        load()
    ```

    Args:
        new_tags: the tags.

    Yields:
        All tags in force in the block.
    """
    token = current_tags.set(current_tags.get() | set(new_tags))
    try:
        yield set(current_tags.get())
    finally:
        current_tags.reset(token)
