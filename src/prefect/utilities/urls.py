"""Addresses of objects in the API and in the UI, and which addresses may be visited."""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import cached_property
from string import Formatter
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from prefect.logging.loggers import get_logger
from prefect.settings import get_current_settings

UI_PATHS = {
    "automation": "automations/automation/{obj_id}",
    "block": "blocks/block/{obj_id}",
    "block-document": "blocks/block/{obj_id}",
    "concurrency-limit": "concurrency-limits/concurrency-limit/{obj_id}",
    "deployment": "deployments/deployment/{obj_id}",
    "flow": "flows/flow/{obj_id}",
    "flow-run": "runs/flow-run/{obj_id}",
    "received-event": "events/event/{occurred}/{obj_id}",
    "task-run": "runs/task-run/{obj_id}",
    "work-pool": "work-pools/work-pool/{obj_id}",
    "work-queue": "work-queues/work-queue/{obj_id}",
    "worker": "work-pools/work-pool/{work_pool_name}/worker/{obj_id}",
}
API_PATHS = {
    "automation": "automations/{obj_id}",
    "block": "blocks/{obj_id}",
    "concurrency-limit": "concurrency_limits/{obj_id}",
    "deployment": "deployments/{obj_id}",
    "flow": "flows/{obj_id}",
    "flow-run": "flow_runs/{obj_id}",
    "task-run": "task_runs/{obj_id}",
    "variable": "variables/name/{obj_id}",
    "work-pool": "work_pools/{obj_id}",
    "work-queue": "work_queues/{obj_id}",
}

# classes that are called otherwise than the objects they stand for
_NAMES = {"block-document": "block", "event": "received-event"}
_BY_NAME = {"variable", "worker", "work-pool"}


def convert_class_to_name(obj: Any) -> str:
    """The name of an object's class in lower case with hyphens: a `FlowRun` is a `flow-run`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", type(obj).__name__).lower()


def url_for(
    obj: Any,
    obj_id: str | UUID | None = None,
    url_type: Literal["ui", "api"] = "ui",
    default_base_url: str | None = None,
    **additional_format_kwargs: Any,
) -> str | None:
    """The address of an object in the UI or in the API.

    Args:
        obj: the object (a flow run, a work pool, a block, a resource of an event, ...) or the name of its kind, such as
            `"flow-run"`.
        obj_id: its id (its name, for variables, workers and work pools); needed with the name of a kind.
        url_type: `"ui"` or `"api"`.
        default_base_url: what to put in front when the settings give no address.
        **additional_format_kwargs: further parts of the path: `work_pool_name` for workers, `occurred` for events.

    Returns:
        The address, or None when such objects have none or no address of the UI or API is known.

    Raises:
        ValueError: the id, or a part of the path, is missing.
    """
    if url_type not in ("ui", "api"):
        raise ValueError(f"url_type must be 'ui' or 'api', not {url_type!r}.")
    if isinstance(obj, str):
        if not obj_id:
            raise ValueError("If passing an object name, you must also provide an object ID.")
        name = obj
    else:
        name, obj_id = _identify(obj, obj_id, additional_format_kwargs)
    base = _base_url(url_type, default_base_url)
    path = (UI_PATHS if url_type == "ui" else API_PATHS).get(name)
    if base is None or path is None or not obj_id:
        what = f"there is no address of the {url_type.upper()} in the settings" if base is None else "they have none"
        get_logger("utilities.urls").debug("No %s URL for objects of the kind %r: %s.", url_type, name, what)
        return None
    wanted = [field for _, field, _, _ in Formatter().parse(path) if field and field != "obj_id"]
    missing = [field for field in wanted if field not in additional_format_kwargs]
    if missing:
        raise ValueError(
            f"Unable to generate URL for {name} because the following keys are missing: {', '.join(missing)}"
        )
    return f"{base}/{path.format(obj_id=obj_id, **additional_format_kwargs)}"


def _identify(obj: Any, obj_id: Any, fields: dict[str, Any]) -> tuple[str, Any]:
    """The kind and the id of an object; puts what else is known of it into `fields`."""
    resource = getattr(obj, "root", None)
    if isinstance(resource, dict):
        # a resource of an event: {"prefect.resource.id": "prefect.flow-run.1f0c..."}
        name, _, resource_id = resource.get("prefect.resource.id", "").removeprefix("prefect.").partition(".")
        return name, obj_id or resource_id
    name = convert_class_to_name(obj)
    if any(base.__name__ == "Block" and base.__module__ == "prefect.blocks.core" for base in type(obj).__mro__):
        return "block", obj_id or getattr(obj, "_block_document_id", None)
    name = _NAMES.get(name, name)
    if name == "received-event" and "occurred" not in fields:
        fields["occurred"] = obj.occurred.strftime("%Y-%m-%d")
    key = "name" if name in _BY_NAME else "id"
    return name, obj_id or getattr(obj, key, None)


def _base_url(url_type: str, default: str | None) -> str | None:
    settings = get_current_settings()
    base = settings.ui_url if url_type == "ui" else settings.api.url
    if url_type == "ui" and base and settings.connected_to_cloud and "/account" not in base:
        # Prefect Cloud's pages are addressed by account and workspace, which the address of its API tells
        found = re.search(r"/accounts/([^/]+)/workspaces/([^/]+)", settings.api.url or "")
        base = f"{base.rstrip('/')}/account/{found[1]}/workspace/{found[2]}" if found else base
    base = base or default
    return str(base).rstrip("/") if base else None


class RestrictedURL:
    """An address that is to be visited on behalf of somebody who may not reach the network of this machine.

    Args:
        url: the address.

    Raises:
        ValueError: it is no HTTP address, cannot be resolved, or leads to an address that is not public.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._check()

    @cached_property
    def addresses(self) -> list[str]:
        """What the host name resolved to when it was checked. Connect to these: a second look-up may tell otherwise."""
        parts = urlsplit(self.url)
        try:
            found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ValueError(f"{self.url!r} is not a valid URL.  It could not be resolved.") from error
        return [str(entry[4][0]) for entry in found]

    def _check(self) -> None:
        try:
            parts = urlsplit(self.url)
            _ = parts.port
        except ValueError as error:
            raise ValueError(f"{self.url!r} is not a valid URL.  {error}.") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{self.url!r} is not a valid URL.  Only HTTP and HTTPS URLs are allowed.")
        for text in self.addresses:
            address = ipaddress.ip_address(text.partition("%")[0])
            embedded = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
            if not address.is_global or address.is_multicast or (embedded is not None and not embedded.is_global):
                raise ValueError(f"{self.url!r} is not a valid URL.  It resolves to the private address {text}.")


def validate_restricted_url(url: str) -> None:
    """Refuse an address that leads into a private network, to this machine, or nowhere.

    A name may resolve to something else later: what connects after this check must connect to an address that was
    checked.

    Args:
        url: the address.

    Raises:
        ValueError: it is no HTTP address, cannot be resolved, or leads to an address that is not public.
    """
    RestrictedURL(url)
