"""What an administration of an API deals in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import Field, IPvAnyNetwork

from prefect._defaults import new_list
from prefect._lazy import lazy_module
from prefect._schemas.base import ObjectBaseModel, PrefectBaseModel
from prefect._schemas.moments import DateTime

if TYPE_CHECKING:
    from prefect import settings as _settings
else:
    _settings = lazy_module("prefect.settings")


class Configuration(ObjectBaseModel):
    """Something that a server remembers about itself."""

    key: str
    value: dict[str, Any]


class CsrfToken(ObjectBaseModel):
    """A token against forged requests."""

    token: str
    # whom it was given to
    client: str
    expiration: DateTime


class SavedSearchFilter(PrefectBaseModel):
    """One condition of a saved search."""

    # what is looked for, such as "flow_run"; and by which of its properties
    object: str
    property: str
    type: str
    operation: str
    value: Any


class SavedSearch(ObjectBaseModel):
    """A search that was given a name."""

    name: str
    filters: list[SavedSearchFilter] = Field(default_factory=new_list)


class ServerDefaultResultStorage(PrefectBaseModel):
    """Where results go when nothing else is said."""

    default_result_storage_block_id: UUID | None = None


class ServerDefaultResultStorageUpdate(PrefectBaseModel):
    """Change where results go when nothing else is said."""

    default_result_storage_block_id: UUID


class IPAllowlistEntry(PrefectBaseModel):
    """A network from which an account may be reached."""

    ip_network: IPvAnyNetwork
    enabled: bool
    description: str | None = None
    # the address in it that was last seen
    last_seen: str | None = None


class IPAllowlist(PrefectBaseModel):
    """The networks from which an account may be reached."""

    entries: list[IPAllowlistEntry]


class IPAllowlistMyAccessResponse(PrefectBaseModel):
    """Whether the asker may reach an account from where they are."""

    allowed: bool
    detail: str


class Workspace(PrefectBaseModel):
    """A workspace of a cloud account."""

    account_id: UUID
    account_name: str
    account_handle: str
    workspace_id: UUID
    workspace_name: str
    workspace_description: str
    workspace_handle: str

    @property
    def handle(self) -> str:
        """`account/workspace`."""
        return f"{self.account_handle}/{self.workspace_handle}"

    def api_url(self) -> str:
        """The URL of its API, under the setting `cloud.api_url`."""
        base = _settings.get_current_settings().cloud.api_url
        return f"{base}/accounts/{self.account_id}/workspaces/{self.workspace_id}"

    def ui_url(self) -> str:
        """The URL of its pages, under the setting `cloud.ui_url`."""
        base = _settings.get_current_settings().cloud.ui_url
        return f"{base}/account/{self.account_id}/workspace/{self.workspace_id}"

    def __hash__(self) -> int:
        return hash(self.handle)
