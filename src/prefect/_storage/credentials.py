"""Who one is to a git server: a user name and a token, made of what users have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

_SECRETS = ("access_token", "token", "password")
_USER_INFO = re.compile(r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s@]+@")


class Login(NamedTuple):
    """What a git server asks for."""

    username: str
    password: str


def without_login(text: str) -> str:
    """A text without the user names and passwords in its addresses."""
    return _USER_INFO.sub(r"\g<scheme>", text)


def split_url(url: str) -> tuple[str, Login | None]:
    """An address without the login in it, and that login.

    Only of addresses by HTTP: in `ssh://git@host/` the user is part of the address.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return url, None
    user_info, _, host = parts.netloc.rpartition("@")
    username, _, password = user_info.partition(":")
    return urlunsplit(parts._replace(netloc=host)), Login(unquote(username), unquote(password))


def plain(value: Any) -> Any:
    """The value of a secret, or of a block that holds one."""
    for _ in range(3):
        getter = getattr(value, "get_secret_value", None) or getattr(value, "get", None)
        if isinstance(value, Mapping) or not callable(getter):
            return value
        value = getter()
    return value


def login_for(url: str, credentials: Any) -> Login | None:
    """What to tell the server of an address.

    Args:
        url: the repository's address, without a login.
        credentials: None; a dictionary with `access_token` (or `token`, `password`) and perhaps `username`; a block
            with such fields; or a block that can put itself into an address (`format_git_credentials`).

    Raises:
        ValueError: there is no token among the credentials.
    """
    if credentials is None:
        return None
    formatting = getattr(credentials, "format_git_credentials", None)
    if callable(formatting):
        return split_url(str(formatting(url)))[1]
    fields = _fields(credentials)
    username = plain(fields.get("username"))
    token = next((str(plain(fields[name])) for name in _SECRETS if fields.get(name)), None)
    if token is None:
        raise ValueError(
            f"The credentials for {url} hold no token. Give `access_token` (or `token`, or `password`), "
            "with `username` where the server wants one."
        )
    return _login(urlsplit(url).hostname or "", str(username) if username else None, token)


def _fields(credentials: Any) -> Mapping[str, Any]:
    if isinstance(credentials, Mapping):
        return credentials
    return {name: getattr(credentials, name, None) for name in ("username", *_SECRETS)}


def _login(host: str, username: str | None, token: str) -> Login:
    """The form in which each kind of server wants a token."""
    if ":" in token and username is None:  # "user:token", or a provider's prefix that is there already
        username, _, token = token.partition(":")
        return Login(username, token)
    if username is not None:
        return Login(username, token)
    if "bitbucketserver" in host:
        raise ValueError(
            f"A Bitbucket Server ({host}) wants a user name beside the token: give `username` among the credentials."
        )
    if "bitbucket" in host:
        return Login("x-token-auth", token)
    if "gitlab" in host:
        return Login("oauth2", token)
    if "github" in host:
        return Login("x-access-token", token)
    return Login(token, "")
