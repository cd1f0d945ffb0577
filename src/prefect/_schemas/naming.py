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
