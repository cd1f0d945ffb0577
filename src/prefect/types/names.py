"""What names and keys may look like."""

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes
from prefect._schemas.naming import (
    BANNED_CHARACTERS,
    LOWERCASE_LETTERS_NUMBERS_AND_DASHES_ONLY_REGEX,
    LOWERCASE_LETTERS_NUMBERS_AND_DASHES_OR_UNDERSCORES_REGEX,
    LOWERCASE_LETTERS_NUMBERS_AND_UNDERSCORES_REGEX,
    MAX_ASSET_KEY_LENGTH,
    MAX_VARIABLE_NAME_LENGTH,
    RESTRICTED_ASSET_CHARACTERS,
    URI_REGEX,
    WITHOUT_BANNED_CHARACTERS,
    WITHOUT_BANNED_CHARACTERS_EMPTY_OK,
    non_emptyish,
    raise_on_name_alphanumeric_dashes_only,
    raise_on_name_alphanumeric_dashes_underscores_only,
    raise_on_name_alphanumeric_underscores_only,
    validate_uri,
    validate_valid_asset_key,
)

if TYPE_CHECKING:
    pass

_LAZY = (
    "ArtifactKey",
    "BlockDocumentName",
    "BlockTypeSlug",
    "Name",
    "NameOrEmpty",
    "NonEmptyishName",
    "URILike",
    "ValidAssetKey",
    "VariableName",
)

__getattr__, __dir__, _names = lazy_attributes(__name__, dict.fromkeys(_LAZY, "prefect._schemas.fields"))

__all__ = [
    *_names,  # pyright: ignore[reportUnsupportedDunderAll]
    "BANNED_CHARACTERS",
    "LOWERCASE_LETTERS_NUMBERS_AND_DASHES_ONLY_REGEX",
    "LOWERCASE_LETTERS_NUMBERS_AND_DASHES_OR_UNDERSCORES_REGEX",
    "LOWERCASE_LETTERS_NUMBERS_AND_UNDERSCORES_REGEX",
    "MAX_ASSET_KEY_LENGTH",
    "MAX_VARIABLE_NAME_LENGTH",
    "RESTRICTED_ASSET_CHARACTERS",
    "URI_REGEX",
    "WITHOUT_BANNED_CHARACTERS",
    "WITHOUT_BANNED_CHARACTERS_EMPTY_OK",
    "non_emptyish",
    "raise_on_name_alphanumeric_dashes_only",
    "raise_on_name_alphanumeric_dashes_underscores_only",
    "raise_on_name_alphanumeric_underscores_only",
    "validate_uri",
    "validate_valid_asset_key",
]
