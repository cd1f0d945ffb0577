"""Helpers for text."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def truncated_to(length: int, value: str | None) -> str:
    """Leave out the middle of a long text.

    Args:
        length: how many characters of it to keep, half of them from its beginning and half from its end.
        value: the text; None counts as empty.

    Returns:
        The text itself when it is shorter than the shortened one would be.
    """
    if not value:
        return ""
    if len(value) <= length:
        return value
    head = length // 2
    tail = length - head
    shortened = f"{value[:head]}...{len(value) - length} additional characters...{value[len(value) - tail :]}"
    return shortened if len(shortened) < len(value) else value


def fuzzy_match_string(word: str, possibilities: Iterable[str], *, n: int = 1, cutoff: float = 0.6) -> str | None:
    """Find what a misspelt word was meant to be.

    Args:
        word: the word.
        possibilities: what it may have been.
        n: how many candidates to compare.
        cutoff: how alike they must be, from 0 (anything) to 1 (equal).

    Returns:
        The possibility that is most alike, None when none is alike enough.
    """
    matches = get_close_matches(word, list(possibilities), n=n, cutoff=cutoff)
    return matches[0] if matches else None
