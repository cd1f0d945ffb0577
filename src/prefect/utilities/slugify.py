"""Names that fit into addresses, labels and file names."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable

# letters that do not decompose into a base letter and marks
_LETTERS = str.maketrans({
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ð": "d",
    "Ð": "D", "þ": "th", "Þ": "Th", "ł": "l", "Ł": "L", "ħ": "h", "Ħ": "H", "ı": "i", "ŋ": "ng", "Ŋ": "NG",
})  # fmt: skip
_NAMED = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_DECIMAL = re.compile(r"&#(\d+);")
_HEXADECIMAL = re.compile(r"&#[xX]([0-9a-fA-F]+);")


def slugify(
    text: str,
    entities: bool = True,
    decimal: bool = True,
    hexadecimal: bool = True,
    max_length: int = 0,
    word_boundary: bool = False,
    separator: str = "-",
    save_order: bool = False,
    stopwords: Iterable[str] = (),
    regex_pattern: re.Pattern[str] | str | None = None,
    lowercase: bool = True,
    replacements: Iterable[Iterable[str]] = (),
    allow_unicode: bool = False,
) -> str:
    """Make a slug of a text: `Crème brûlée!` becomes `creme-brulee`.

    Letters outside ASCII lose their marks (`é`, `ł`), are spelt out (`ß`) or, where they have no Latin form, are left
    out, unless `allow_unicode` is set.

    Args:
        text: the text.
        entities: read HTML entities such as `&amp;`.
        decimal: read `&#38;`.
        hexadecimal: read `&#x26;`.
        max_length: the most characters it may have; 0 for any number.
        word_boundary: cut between words when it is too long.
        separator: what stands between words.
        save_order: with `word_boundary`, stop at the first word that does not fit; otherwise later, shorter ones are
            put in.
        stopwords: words to leave out.
        regex_pattern: what matches becomes a separator; default everything but letters, digits and hyphens.
        lowercase: make everything lower case.
        replacements: pairs of what to replace and by what, applied before and after.
        allow_unicode: keep letters and digits of all scripts.
    """
    pairs = [tuple(pair) for pair in replacements]
    text = _replace(text, pairs)
    text = _fold(_unescape(text, entities, decimal, hexadecimal), allow_unicode)
    if lowercase:
        text = text.lower()
    text = text.replace("'", "-") if not allow_unicode else text
    text = re.sub(r"(?<=\d),(?=\d)", "", text)
    pattern = regex_pattern if regex_pattern is not None else _default_pattern(allow_unicode, lowercase)
    text = re.sub(r"-{2,}", "-", re.sub(pattern, "-", text)).strip("-")
    left_out = {word.lower() if lowercase else word for word in stopwords}
    if left_out:
        text = "-".join(word for word in text.split("-") if word not in left_out)
    text = _replace(text, pairs)
    if max_length > 0:
        text = _shorten(text, max_length, word_boundary, save_order)
    return text.replace("-", separator) if separator != "-" else text


def _replace(text: str, pairs: list[tuple[str, ...]]) -> str:
    for old, new in pairs:
        text = text.replace(old, new)
    return text


def _unescape(text: str, entities: bool, decimal: bool, hexadecimal: bool) -> str:
    for wanted, pattern in ((entities, _NAMED), (decimal, _DECIMAL), (hexadecimal, _HEXADECIMAL)):
        if wanted:
            text = pattern.sub(lambda match: html.unescape(match[0]), text)
    return text


def _fold(text: str, allow_unicode: bool) -> str:
    if allow_unicode:
        return unicodedata.normalize("NFKC", text)
    return unicodedata.normalize("NFKD", text.translate(_LETTERS)).encode("ascii", "ignore").decode()


def _default_pattern(allow_unicode: bool, lowercase: bool) -> str:
    if allow_unicode:
        return r"[\W_]+"
    return r"[^-a-z0-9]+" if lowercase else r"[^-a-zA-Z0-9]+"


def _shorten(text: str, max_length: int, word_boundary: bool, save_order: bool) -> str:
    if len(text) <= max_length:
        return text
    if not word_boundary:
        return text[:max_length].strip("-")
    kept = ""
    for word in text.split("-"):
        longer = f"{kept}-{word}" if kept else word
        if len(longer) <= max_length:
            kept = longer
        elif save_order:
            break
    return kept or text[:max_length].strip("-")
