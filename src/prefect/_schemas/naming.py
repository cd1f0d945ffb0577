"""What names and keys may look like. Nothing here needs pydantic."""

from __future__ import annotations

import re

LOWERCASE_LETTERS_NUMBERS_AND_DASHES_ONLY_REGEX = r"^[a-z0-9-]*$"
LOWERCASE_LETTERS_NUMBERS_AND_UNDERSCORES_REGEX = r"^[a-z0-9_]*$"
LOWERCASE_LETTERS_NUMBERS_AND_DASHES_OR_UNDERSCORES_REGEX = r"^[a-z0-9-_]*$"

BANNED_CHARACTERS = ["/", "%", "&", ">", "<"]
"""Characters that would be ambiguous in a URL path or in `flow/deployment`."""
WITHOUT_BANNED_CHARACTERS = r"^[^" + "".join(BANNED_CHARACTERS) + "]+$"
WITHOUT_BANNED_CHARACTERS_EMPTY_OK = r"^[^" + "".join(BANNED_CHARACTERS) + "]*$"

URI_REGEX = re.compile(r"^[a-z0-9]+://")
RESTRICTED_ASSET_CHARACTERS = list("\n\r\t\0 #?&%\"'<>[]{}|\\^`")

MAX_NAME_LENGTH = 1024
"""Of names, tags and keys, in characters."""
MAX_NAME_BYTES = 2400
"""Of names, tags and keys in UTF-8: PostgreSQL has no room for longer ones in an index."""
MAX_VARIABLE_NAME_LENGTH = 255
MAX_VARIABLE_VALUE_LENGTH = 5000
MAX_ASSET_KEY_LENGTH = 512


def raise_on_name_alphanumeric_dashes_only(value: str | None, field_name: str = "value") -> str | None:
    """Return the name if it holds lowercase ASCII letters, digits and dashes only; None passes.

    Raises:
        ValueError: another character is in it.
    """
    if value is not None and not re.fullmatch(r"[a-z0-9-]*", value):
        raise ValueError(f"{field_name} must only contain lowercase letters, numbers, and dashes. Got {value!r}.")
    return value


def raise_on_name_alphanumeric_underscores_only(value: str | None, field_name: str = "value") -> str | None:
    """Return the name if it holds lowercase ASCII letters, digits and underscores only; None passes.

    Raises:
        ValueError: another character is in it.
    """
    if value is not None and not re.fullmatch(r"[a-z0-9_]*", value):
        raise ValueError(f"{field_name} must only contain lowercase letters, numbers, and underscores. Got {value!r}.")
    return value


def raise_on_name_alphanumeric_dashes_underscores_only(value: str, field_name: str = "value") -> str:
    """Return the name if it holds lowercase ASCII letters, digits, dashes and underscores only.

    Raises:
        ValueError: another character is in it.
    """
    if not re.fullmatch(r"[a-z0-9_-]*", value):
        raise ValueError(
            f"{field_name} must only contain lowercase letters, numbers, and dashes or underscores. Got {value!r}."
        )
    return value


def short_enough(value: str) -> str:
    """Return a name, tag or key of at most 1,024 characters that is at most 2,400 bytes in UTF-8.

    Raises:
        ValueError: it is longer.
    """
    if len(value) > MAX_NAME_LENGTH:
        raise ValueError(f"can have at most {MAX_NAME_LENGTH} characters, and has {len(value)}")
    if not value.isascii():
        size = len(value.encode("utf-8", "replace"))
        if size > MAX_NAME_BYTES:
            raise ValueError(f"can have at most {MAX_NAME_BYTES} bytes in UTF-8, and has {size}")
    return value


def shortened(value: str) -> str:
    """A name that fits, with three dots in place of what is too much."""
    if len(value) <= MAX_NAME_LENGTH and (value.isascii() or len(value.encode("utf-8", "replace")) <= MAX_NAME_BYTES):
        return value
    kept = value[: MAX_NAME_LENGTH - 3].encode("utf-8", "replace")[: MAX_NAME_BYTES - 3]
    return kept.decode("utf-8", "ignore") + "..."


def non_emptyish(value: str) -> str:
    """Return the name unless it is blank, or nothing but quotation marks (as a shell may leave behind).

    Raises:
        ValueError: there is nothing in it.
    """
    if isinstance(value, str) and not value.strip().strip("\"'"):
        raise ValueError("name cannot be an empty string")
    return value


def validate_uri(value: str) -> str:
    """Return the text if it begins like a URI, with a lowercase scheme.

    Raises:
        ValueError: it does not.
    """
    if not URI_REGEX.match(value):
        raise ValueError(f"Key must be a valid URI, e.g. storage://bucket/folder/asset.csv. Got {value!r}.")
    return value


def validate_valid_asset_key(value: str) -> str:
    """Return the key of an asset: a URI of at most 512 characters without blanks, quotes, brackets or query.

    Raises:
        ValueError: it is too long, holds one of those characters, or is no URI.
    """
    if len(value) > MAX_ASSET_KEY_LENGTH:
        raise ValueError(f"Asset key cannot exceed {MAX_ASSET_KEY_LENGTH} characters (this one has {len(value)}).")
    for character in RESTRICTED_ASSET_CHARACTERS:
        if character in value:
            raise ValueError(f"Asset key cannot contain {character!r}. Got {value!r}.")
    return validate_uri(value)
