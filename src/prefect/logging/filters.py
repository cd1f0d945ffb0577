"""Keeping secrets out of logs."""

from __future__ import annotations

import logging
from typing import Any

from prefect.settings import get_current_settings

_HIDDEN = "********"


def redact_substr(obj: Any, substr: str) -> Any:
    """Replace a piece of text by asterisks in every string of an object.

    Args:
        obj: a string, or a list, tuple, set or dictionary (keys too) of such, at any depth. Other objects, and
            collections that do not hold the text, come back as they are.
        substr: the text to hide.
    """
    if isinstance(obj, str):
        return obj.replace(substr, _HIDDEN) if substr in obj else obj
    if type(obj) is dict:
        pairs = [(redact_substr(key, substr), redact_substr(value, substr)) for key, value in obj.items()]
        changed = any(
            key is not old_key or value is not old_value
            for (key, value), (old_key, old_value) in zip(pairs, obj.items(), strict=True)
        )
        return dict(pairs) if changed else obj
    if type(obj) in (list, tuple, set, frozenset):
        items = list(obj)
        redacted = [redact_substr(item, substr) for item in items]
        return type(obj)(redacted) if any(a is not b for a, b in zip(redacted, items, strict=True)) else obj
    return obj


def secrets() -> list[str]:
    """The credentials in the current settings: the API key and the authentication string."""
    api = get_current_settings().api
    return [text for secret in (api.key, api.auth_string) if secret is not None and (text := secret.get_secret_value())]


def redact_secrets(text: str) -> str:
    """A text without the credentials of the current settings."""
    for secret in secrets():
        text = text.replace(secret, _HIDDEN)
    return text


class ObfuscateApiKeyFilter(logging.Filter):
    """Hides the API key, wherever it occurs in a message or its arguments; lets every record pass.

    The handlers of Prefect do so by themselves (with the authentication string too, and in tracebacks); this is for
    handlers of your own.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the key by asterisks in the record."""
        for secret in secrets():
            record.msg = redact_substr(record.msg, secret)
            if record.args:
                record.args = redact_substr(record.args, secret)
        return True
