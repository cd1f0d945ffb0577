"""Addresses without the credentials in them, for logs and messages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

__all__ = ["strip_auth_from_url", "strip_auth_from_urls_in_text"]

# what is before the @ of an address; it may hold an @ itself
_CREDENTIALS = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/'\"]*@")
_MASK = "****"


def strip_auth_from_url(url: str) -> str:
    """An address without user name and password; text that is no address as it is."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return strip_auth_from_urls_in_text(url)
    if "@" not in parts.netloc:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def strip_auth_from_urls_in_text(text: str, extra_secrets: Iterable[str] | None = None) -> str:
    """Text in which no address has a user name or password.

    Args:
        text: the text, such as what a program printed on its error stream.
        extra_secrets: more that may not be seen, wherever it is.
    """
    text = _CREDENTIALS.sub(lambda found: found["scheme"], text)
    # the longest first: one may be part of another
    for secret in sorted(filter(None, extra_secrets or ()), key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return text
