"""Sending messages by Apprise, an optional package that is loaded when the first message is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from prefect._lazy import lazy_module
from prefect.utilities.urls import validate_restricted_url

apprise: Any = lazy_module("apprise")


def send(target: Callable[[], Any], body: str, subject: str | None, kind: str, *, of: str) -> str | None:
    """Send a message.

    Args:
        target: tells where to: an address, or a service; asked for once Apprise is there.
        body: its text.
        subject: its subject.
        kind: `info`, `success`, `warning` or `failure`.
        of: what sends it, for the error.

    Returns:
        why it could not be sent; None when it was.

    Raises:
        ModuleNotFoundError: Apprise is not installed.
    """
    try:
        services = apprise.Apprise()
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(
            f"{of} sends its messages by Apprise. Install it: pip install 'prefect[notifications]'"
        ) from exc
    with apprise.LogCapture(level=apprise.logging.INFO) as output:
        sent = services.add(target()) and services.notify(body=body, title=subject or "", notify_type=kind)
        said = output.getvalue().strip()
    return None if sent else said or "the address is none that Apprise knows"


def service(name: str) -> Any:
    """A service of Apprise: `module.Class` of its plugins."""
    module, _, attribute = name.partition(".")
    return getattr(lazy_module(f"apprise.plugins.{module}"), attribute)


def refuse_private(url: str) -> None:
    """Refuse an address that leads into a private network, where it names a host at all.

    Raises:
        ValueError: it does.
    """
    parts = urlsplit(url)
    if parts.scheme in ("http", "https"):
        validate_restricted_url(url)
    elif parts.scheme.rstrip("s") in ("json", "xml", "form"):  # Apprise's names for requests to any host
        validate_restricted_url(parts._replace(scheme="https").geturl())
