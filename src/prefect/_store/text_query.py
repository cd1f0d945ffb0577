"""The small language of text searches, as in `timeout "connection refused" +worker -debug`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_TERM = re.compile(r"""(?P<sign>[-+!]?)(?:"(?P<phrase>(?:\\"|[^"])*)"?|(?P<word>(?:\\"|[^\s"])+))""")


@dataclass(frozen=True)
class TextQuery:
    """A parsed search. All comparisons are for parts of words, without regard to case."""

    some: tuple[str, ...] = ()
    """At least one of these is in the text (if there are any)."""
    all: tuple[str, ...] = ()
    """Every one of these is in the text."""
    none: tuple[str, ...] = ()
    """None of these is in the text."""

    def matches(self, contains: Callable[[str], bool]) -> bool:
        """Whether a text is found.

        Args:
            contains: whether a term is in it.
        """
        return (
            all(map(contains, self.all))
            and not any(map(contains, self.none))
            and (not self.some or any(map(contains, self.some)))
        )


def parse_text_query(query: str) -> TextQuery:
    """Split a search into its terms.

    Words stand for themselves and double quotes hold a phrase together. A term with `+` before it must occur, one
    with `-` or `!` must not; of the others at least one must. Signs without a term and empty phrases mean nothing. A
    double quote with a backslash before it is one to be searched for.
    """
    terms: dict[str, list[str]] = {"": [], "+": [], "-": []}
    for match in _TERM.finditer(query):
        text = match["phrase"] if match["phrase"] is not None else match["word"]
        if text and text not in "+-!":
            terms["-" if match["sign"] == "!" else match["sign"]].append(text.replace('\\"', '"'))
    return TextQuery(tuple(terms[""]), tuple(terms["+"]), tuple(terms["-"]))
