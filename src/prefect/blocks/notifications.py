"""Messages to people: Slack, Teams, PagerDuty, Twilio, Opsgenie, Mattermost, Discord, SendGrid, any webhook.

Those that are sent by Apprise need `prefect[notifications]`, which is loaded when the first message is sent.

```python
SlackWebhook.load("team").notify("The nightly load failed", subject="Orders")
```
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import AnyHttpUrl, Field, SecretStr

from prefect._bridge import async_dispatch
from prefect._lazy import lazy_module
from prefect._schemas.fields import SecretDict
from prefect.blocks import _apprise
from prefect.blocks.abstract import NotificationBlock, NotificationError
from prefect.blocks.webhook import HTTPMethod

if TYPE_CHECKING:
    import httpx

    from prefect.blocks import _outbound
else:
    _outbound = lazy_module("prefect.blocks._outbound")  # loads an HTTP library

__all__ = [
    "AbstractAppriseNotificationBlock",
    "AppriseNotificationBlock",
    "CustomWebhookNotificationBlock",
    "DiscordWebhook",
    "MattermostWebhook",
    "MicrosoftTeamsWebhook",
    "OpsgenieWebhook",
    "PagerDutyWebHook",
    "SendgridEmail",
    "SlackWebhook",
    "TwilioSMS",
]

NotifyType = Literal["info", "success", "warning", "failure"]


class AbstractAppriseNotificationBlock(NotificationBlock):
    """What all have in common that are sent by Apprise."""

    notify_type: NotifyType = Field(default="info", description="What kind of message it is.")

    def _target(self) -> Any:
        """Where messages go, as Apprise has it: an address, or one of its services."""
        raise NotImplementedError(f"{type(self).__name__} does not say where its messages go.")

    def _send(self, body: str, subject: str | None) -> None:
        why = _apprise.send(self._target, body, subject, self.notify_type, of=type(self).__name__)
        if why is not None:
            self._failed(why)

    def _failed(self, why: str) -> None:
        if self._raise_on_failure:
            raise NotificationError(log=why)
        self.logger.error("%s could not send a message: %s", type(self).__name__, why)

    async def anotify(self, body: str, subject: str | None = None) -> None:
        """`notify` for asynchronous code."""
        await asyncio.to_thread(self._send, body, subject)

    @async_dispatch(anotify)
    def notify(self, body: str, subject: str | None = None) -> None:  # type: ignore[override]
        """Send a message. One that cannot be sent is logged; in `raise_on_failure()` it is an error.

        Args:
            body: its text.
            subject: its subject.

        Raises:
            NotificationError: it could not be sent, in a block of `raise_on_failure()`.
            ModuleNotFoundError: Apprise is not installed.
        """
        self._send(body, subject)


class AppriseNotificationBlock(AbstractAppriseNotificationBlock):
    """Sends messages to an address that Apprise knows."""

    url: SecretStr = Field(
        title="Webhook URL", description="Where messages go.", examples=["https://hooks.example.com/XXX"]
    )
    allow_private_urls: bool = Field(default=True, description="Whether the address may lead into a private network.")

    def _target(self) -> Any:
        url = self.url.get_secret_value()
        if not self.allow_private_urls:
            _apprise.refuse_private(url)
        return url


class SlackWebhook(AppriseNotificationBlock):
    """Sends messages to a Slack webhook, also one of GovSlack.

    Example:
        ```python
        from prefect.blocks.notifications import SlackWebhook

        SlackWebhook.load("BLOCK_NAME").notify("Hello from Prefect!")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Slack Webhook"

    url: SecretStr = Field(
        title="Webhook URL", description="The address of the webhook.", examples=["https://hooks.slack.com/XXX"]
    )


class MicrosoftTeamsWebhook(AppriseNotificationBlock):
    """Sends messages to Microsoft Teams, through a workflow of Power Automate.

    Example:
        ```python
        from prefect.blocks.notifications import MicrosoftTeamsWebhook

        MicrosoftTeamsWebhook.load("BLOCK_NAME").notify("Hello from Prefect!")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Microsoft Teams Webhook"
    _block_type_slug: ClassVar[str | None] = "ms-teams-webhook"

    url: SecretStr = Field(title="Webhook URL", description="The address of the workflow.")
    include_image: bool = Field(default=True, description="Show an image with the message.")
    wrap: bool = Field(default=True, description="Wrap the text.")

    def _target(self) -> Any:
        url = super()._target()
        service = _apprise.service("workflows.NotifyWorkflows")
        parts = service.parse_native_url(url)
        if not parts:
            return url
        return service(**{**parts, "include_image": self.include_image, "wrap": self.wrap})


class PagerDutyWebHook(AbstractAppriseNotificationBlock):
    """Makes alerts at PagerDuty.

    Example:
        ```python
        from prefect.blocks.notifications import PagerDutyWebHook

        PagerDutyWebHook.load("BLOCK_NAME").notify("Hello from Prefect!")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Pager Duty Webhook"
    _block_type_slug: ClassVar[str | None] = "pager-duty-webhook"

    notify_type: NotifyType = Field(default="info", description="How bad it is.")
    integration_key: SecretStr = Field(description="The key of the integration, also called routing key.")
    api_key: SecretStr = Field(title="API Key", description="The API key, to be found under Integrations.")
    source: str | None = Field(default="Prefect", description="Where the alert comes from.")
    component: str = Field(default="Notification", description="Which component it is about.")
    group: str | None = Field(default=None, description="Which group it is about.")
    class_id: str | None = Field(default=None, title="Class ID", description="Which class of alerts it is.")
    region_name: Literal["us", "eu"] = Field(default="us", description="The region of the account.")
    clickable_url: AnyHttpUrl | None = Field(default=None, title="Clickable URL", description="Where to look.")
    include_image: bool = Field(default=True, description="Show an icon with the alert.")
    custom_details: dict[str, str] | None = Field(
        default=None, description="More to be told.", examples=['{"disk_space_left": "145GB"}']
    )

    def _target(self) -> Any:
        return _apprise.service("pagerduty.NotifyPagerDuty")(
            apikey=self.api_key.get_secret_value(),
            integrationkey=self.integration_key.get_secret_value(),
            source=self.source,
            component=self.component,
            group=self.group,
            class_id=self.class_id,
            region_name=self.region_name,
            click=str(self.clickable_url) if self.clickable_url else None,
            include_image=self.include_image,
            details=self.custom_details,
        )


class TwilioSMS(AbstractAppriseNotificationBlock):
    """Sends text messages by Twilio.

    Example:
        ```python
        from prefect.blocks.notifications import TwilioSMS

        TwilioSMS.load("BLOCK_NAME").notify("Hello from Prefect!")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Twilio SMS"
    _block_type_slug: ClassVar[str | None] = "twilio-sms"

    account_sid: str = Field(description="The account, as Twilio's console shows it.")
    auth_token: SecretStr = Field(description="The token, as Twilio's console shows it.")
    from_phone_number: str = Field(description="The number that sends.", examples=["18001234567"])
    to_phone_numbers: list[str] = Field(
        description="The numbers that receive.", examples=['["18004242424", "18004242425"]']
    )

    def _target(self) -> Any:
        return _apprise.service("twilio.NotifyTwilio")(
            account_sid=self.account_sid,
            auth_token=self.auth_token.get_secret_value(),
            source=self.from_phone_number,
            targets=self.to_phone_numbers,
        )


class OpsgenieWebhook(AbstractAppriseNotificationBlock):
    """Makes alerts at Opsgenie.

    Example:
        ```python
        from prefect.blocks.notifications import OpsgenieWebhook

        OpsgenieWebhook.load("BLOCK_NAME").notify("Hello from Prefect!")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Opsgenie Webhook"
    _block_type_slug: ClassVar[str | None] = "opsgenie-webhook"

    apikey: SecretStr = Field(title="API Key", description="The API key of the account.")
    target_user: list[str] | None = Field(default=None, description="Users to be told.")
    target_team: list[str] | None = Field(default=None, description="Teams to be told.")
    target_schedule: list[str] | None = Field(default=None, description="Schedules whose people are told.")
    target_escalation: list[str] | None = Field(default=None, description="Escalations to begin.")
    region_name: Literal["us", "eu"] = Field(default="us", description="The region of the account.")
    batch: bool = Field(default=False, description="Tell all at once instead of one by one.")
    tags: list[str] | None = Field(default=None, description="Tags of the alert.", examples=['["tag1", "tag2"]'])
    priority: int | None = Field(default=3, description="From 1 (low) to 5 (emergency).")
    alias: str | None = Field(default=None, description="The alias of the alert.")
    entity: str | None = Field(default=None, description="What the alert is about.")
    details: dict[str, str] | None = Field(
        default=None, description="More to be told.", examples=['{"key1": "value1", "key2": "value2"}']
    )

    def _target(self) -> Any:
        # Opsgenie's marks for the kinds of receivers
        kinds = {"@": self.target_user, "#": self.target_team, "*": self.target_schedule, "^": self.target_escalation}
        return _apprise.service("opsgenie.NotifyOpsgenie")(
            apikey=self.apikey.get_secret_value(),
            targets=[f"{mark}{name}" for mark, names in kinds.items() for name in names or ()],
            region_name=self.region_name,
            details=self.details,
            priority=self.priority,
            alias=self.alias,
            entity=self.entity,
            batch=self.batch,
            tags=self.tags,
        )


class MattermostWebhook(AbstractAppriseNotificationBlock):
    """Sends messages to a Mattermost webhook.

    Example:
        ```python
        from prefect.blocks.notifications import MattermostWebhook

        MattermostWebhook.load("BLOCK_NAME").notify("Hello from Prefect!")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Mattermost Webhook"
    _block_type_slug: ClassVar[str | None] = "mattermost-webhook"

    hostname: str = Field(description="The host of the server.", examples=["mattermost.example.com"])
    secure: bool = Field(default=False, description="Whether to connect by HTTPS.")
    token: SecretStr = Field(description="The token of the webhook.")
    botname: str | None = Field(default=None, title="Bot name", description="Under which name messages are shown.")
    channels: list[str] | None = Field(default=None, description="Channels to send to.")
    include_image: bool = Field(default=False, description="Show an icon with the message.")
    path: str | None = Field(default=None, description="What comes between the host and the webhook.")
    port: int = Field(default=8065, description="The port of the server.")

    def _target(self) -> Any:
        return _apprise.service("mattermost.NotifyMattermost")(
            token=self.token.get_secret_value(),
            fullpath=self.path,
            host=self.hostname,
            user=self.botname,
            targets=self.channels,
            include_image=self.include_image,
            port=self.port,
            secure=self.secure,
        )


class DiscordWebhook(AbstractAppriseNotificationBlock):
    """Sends messages to a Discord webhook.

    Example:
        ```python
        from prefect.blocks.notifications import DiscordWebhook

        DiscordWebhook.load("BLOCK_NAME").notify("Hello from Prefect!")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Discord Webhook"
    _block_type_slug: ClassVar[str | None] = "discord-webhook"

    webhook_id: SecretStr = Field(description="The first of the two parts of the webhook's address.")
    webhook_token: SecretStr = Field(description="The second of them.")
    botname: str | None = Field(default=None, title="Bot name", description="Under which name messages are shown.")
    tts: bool = Field(default=False, description="Whether messages are read aloud.")
    include_image: bool = Field(default=False, description="Show an image with the message.")
    avatar: bool = Field(default=False, description="Whether to show another avatar than that of the webhook.")
    avatar_url: str | None = Field(default=None, title="Avatar URL", description="The address of that avatar.")

    def _target(self) -> Any:
        return _apprise.service("discord.NotifyDiscord")(
            webhook_id=self.webhook_id.get_secret_value(),
            webhook_token=self.webhook_token.get_secret_value(),
            user=self.botname,
            tts=self.tts,
            include_image=self.include_image,
            avatar=self.avatar,
            avatar_url=self.avatar_url,
        )


class SendgridEmail(AbstractAppriseNotificationBlock):
    """Sends mail by SendGrid.

    Example:
        ```python
        from prefect.blocks.notifications import SendgridEmail

        SendgridEmail.load("BLOCK_NAME").notify("Hello from Prefect!")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Sendgrid Email"
    _block_type_slug: ClassVar[str | None] = "sendgrid-email"

    api_key: SecretStr = Field(title="API Key", description="The API key of the account.")
    sender_email: str = Field(title="Sender email id", description="Who sends.", examples=["from@example.com"])
    to_emails: list[str] = Field(
        title="Recipient emails", description="Who receives.", examples=['["one@example.com", "two@example.com"]']
    )

    def _target(self) -> Any:
        return _apprise.service("sendgrid.NotifySendGrid")(
            apikey=self.api_key.get_secret_value(), from_email=self.sender_email, targets=self.to_emails
        )


_PLACEHOLDER = re.compile(r"{{\s*([\w.-]+)\s*}}")


class CustomWebhookNotificationBlock(NotificationBlock):
    """Sends messages to any webhook.

    In all texts, `{{subject}}`, `{{body}}`, `{{name}}` and the names of the secrets stand for their values.

    Example:
        ```python
        from prefect.blocks.notifications import CustomWebhookNotificationBlock

        CustomWebhookNotificationBlock.load("BLOCK_NAME").notify("Hello from Prefect!")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Custom Webhook"

    name: str = Field(description="The name of the webhook.")
    url: str = Field(title="Webhook URL", description="The address.", examples=["https://hooks.example.com/XXX"])
    method: HTTPMethod = Field(default="POST", description="The method of the request.")
    params: dict[str, str] | None = Field(default=None, title="Query Params", description="What the query string says.")
    json_data: dict[str, Any] | None = Field(
        default=None,
        title="JSON Data",
        description="What is sent, as JSON.",
        examples=['{"text": "{{subject}}\\n{{body}}", "title": "{{name}}", "token": "{{tokenFromSecrets}}"}'],
    )
    form_data: dict[str, str] | str | None = Field(
        default=None, description="What is sent as a form, or as it is when it is text; not together with JSON data."
    )
    headers: dict[str, str] | None = Field(default=None, description="Headers to send.")
    cookies: dict[str, str] | None = Field(default=None, description="Cookies to send.")
    timeout: float = Field(default=10, description="Seconds to wait for an answer.")
    allow_private_urls: bool = Field(
        default=True, description="Whether the address may lead into a private network. Redirects are never followed."
    )
    secrets: SecretDict = Field(
        default_factory=lambda: SecretDict({}),
        title="Custom Secret Values",
        description="Values that stand for their names in the other fields.",
        examples=['{"tokenFromSecrets": "SomeSecretToken"}'],
    )

    def block_initialization(self) -> None:
        reserved = {"subject", "body", "name"} & self.secrets.get_secret_value().keys()
        if reserved:
            raise ValueError(
                f"Secrets cannot be called {sorted(reserved)}: these names stand for parts of the message."
            )
        known = {"subject", "body", "name", *self.secrets.get_secret_value()}
        fields = (self.url, self.params, self.json_data, self.form_data, self.headers, self.cookies)
        missing = {name for name in _names(fields) if name not in known}
        if missing:
            raise ValueError(f"{sorted(missing)} stand for nothing: they are neither of the message nor secrets.")
        if self.json_data is not None and self.form_data is not None:
            raise ValueError("Give JSON data or form data, not both.")

    def _request(self, body: str, subject: str | None) -> dict[str, Any]:
        values = {**self.secrets.get_secret_value(), "subject": subject or "", "body": body, "name": self.name}
        request: dict[str, Any] = {"method": self.method, "url": _filled(self.url, values)}
        parts = {"params": self.params, "json": self.json_data, "headers": self.headers, "cookies": self.cookies}
        parts["content" if isinstance(self.form_data, str) else "data"] = self.form_data  # type: ignore[assignment]
        return request | {name: _filled(part, values) for name, part in parts.items() if part is not None}

    def _answered(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        why = f"the webhook {self.name!r} answered with status {response.status_code}"
        if self._raise_on_failure:
            raise NotificationError(log=why)
        self.logger.error("%s could not send a message: %s", type(self).__name__, why)

    async def anotify(self, body: str, subject: str | None = None) -> None:
        """`notify` for asynchronous code."""
        async with _outbound.async_client(allow_private=self.allow_private_urls, timeout=self.timeout) as client:
            cookies = (request := self._request(body, subject)).pop("cookies", None)
            client.cookies.update(cookies)
            self._answered(await client.request(**request))

    @async_dispatch(anotify)
    def notify(self, body: str, subject: str | None = None) -> None:  # type: ignore[override]
        """Send a message.

        Args:
            body: its text.
            subject: its subject.

        Raises:
            NotificationError: the answer is no success, in a block of `raise_on_failure()`; else that is logged.
            ValueError: the address leads into a private network, and it may not.
            httpx.HTTPError: there is no answer.
        """
        with _outbound.client(allow_private=self.allow_private_urls, timeout=self.timeout) as client:
            cookies = (request := self._request(body, subject)).pop("cookies", None)
            client.cookies.update(cookies)
            self._answered(client.request(**request))


def _names(value: Any) -> set[str]:
    """The names that stand for values in nested texts."""
    if isinstance(value, str):
        return set(_PLACEHOLDER.findall(value))
    if isinstance(value, dict):
        return {name for pair in value.items() for part in pair for name in _names(part)}
    if isinstance(value, list | tuple):
        return {name for part in value for name in _names(part)}
    return set()


def _filled(value: Any, values: dict[str, Any]) -> Any:
    """Nested texts with the values in the places of their names."""
    if isinstance(value, str):
        # one pass: what a value brings along is not looked at again
        return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), value)
    if isinstance(value, dict):
        return {_filled(name, values): _filled(part, values) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(part, values) for part in value]
    return value
