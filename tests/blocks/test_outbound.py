"""Blocks that send something: webhooks and notifications, to a real server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from prefect.blocks import notifications
from prefect.blocks.abstract import NotificationError
from prefect.blocks.notifications import CustomWebhookNotificationBlock, MattermostWebhook
from prefect.blocks.webhook import Webhook


class Receiver(ThreadingHTTPServer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[dict[str, Any]] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.server.received.append(
            {"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body}
        )
        self.send_response(self.server.status)
        self.send_header("Location", self.server.url + "/elsewhere")
        self.end_headers()
        self.wfile.write(b"ok")

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhook_is_called(receiver: Receiver) -> None:
    hook = Webhook(url=f"{receiver.url}/x", headers={"X-Token": "s3cret"})
    assert hook.call({"a": 1}).text == "ok"
    assert Webhook(url=receiver.url, method="PUT").call("plain").status_code == 200
    first, second = receiver.received
    assert (first["method"], first["path"], json.loads(first["body"]), first["headers"]["X-Token"]) == (
        "POST", "/x", {"a": 1}, "s3cret",
    )  # fmt: skip
    assert (second["method"], second["body"]) == ("PUT", "plain")
    assert "s3cret" not in repr(hook) and receiver.url not in repr(hook)


async def test_a_webhook_is_called_from_asynchronous_code(receiver: Receiver) -> None:
    response = await Webhook(url=receiver.url, method="GET").call()  # type: ignore[misc]
    assert response.text == "ok" and receiver.received[0]["body"] == ""


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.status = 302
    assert Webhook(url=receiver.url).call().status_code == 302
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "10.1.2.3", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
async def test_private_addresses_are_refused(receiver: Receiver, host: str) -> None:
    url = f"http://{host}:{receiver.server_port}"
    hook = Webhook(url=url, allow_private_urls=False)
    with pytest.raises(ValueError, match="private address"):
        hook.call(_sync=True)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="private address"):
        await hook.acall()
    custom = CustomWebhookNotificationBlock(name="n", url=url, allow_private_urls=False)
    with pytest.raises(ValueError, match="private address"):
        await custom.anotify("x")
    with pytest.raises(ValueError, match="private address"):
        notifications.SlackWebhook(url=url, allow_private_urls=False).notify("x", _sync=True)  # type: ignore[call-arg]
    assert receiver.received == []


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to something else the second time leads nowhere."""
    import httpx

    from prefect.blocks import _outbound
    from prefect.utilities import urls

    answers = [[(2, 1, 6, "", ("93.184.216.34", 443))], [(2, 1, 6, "", ("127.0.0.1", 443))]]
    monkeypatch.setattr(urls.socket, "getaddrinfo", lambda *args, **kwargs: answers.pop(0))
    request = _outbound._pinned(httpx.Request("GET", "https://rebinding.example/x"))
    assert (request.url.host, request.headers["host"], request.extensions["sni_hostname"]) == (
        "93.184.216.34", "rebinding.example", "rebinding.example",
    )  # fmt: skip
    assert len(answers) == 1


def test_a_custom_webhook_fills_in_what_is_named(receiver: Receiver) -> None:
    block = CustomWebhookNotificationBlock(
        name="mine",
        url=receiver.url + "/{{name}}",
        json_data={"text": "{{subject}}: {{ body }}", "nested": [{"token": "{{token}}"}]},
        headers={"X-Name": "{{name}}"},
        cookies={"session": "{{token}}"},
        params={"q": "{{subject}}"},
        secrets={"token": "s3cret"},
    )
    block.notify("the {{token}} stays as it is", "subject")
    (received,) = receiver.received
    assert received["path"] == "/mine?q=subject"
    assert json.loads(received["body"]) == {
        "text": "subject: the {{token}} stays as it is",
        "nested": [{"token": "s3cret"}],
    }
    assert (received["headers"]["X-Name"], received["headers"]["Cookie"]) == ("mine", "session=s3cret")
    assert "s3cret" not in repr(block)


async def test_a_custom_webhook_that_is_refused(receiver: Receiver) -> None:
    receiver.status = 500
    block = CustomWebhookNotificationBlock(name="mine", url=receiver.url, form_data={"a": "{{body}}"})
    await block.anotify("x")
    with block.raise_on_failure(), pytest.raises(NotificationError, match="500"):
        await block.anotify("x")
    assert receiver.received[0]["body"] == "a=x"


def test_a_custom_webhook_is_checked() -> None:
    def make(**fields: Any) -> None:
        CustomWebhookNotificationBlock(name="n", url="http://x", **fields)

    with pytest.raises(ValueError, match="stand for nothing"):
        make(json_data={"a": "{{unknown}}"})
    with pytest.raises(ValueError, match="cannot be called"):
        make(secrets={"body": "x"})
    with pytest.raises(ValueError, match="not both"):
        make(json_data={}, form_data={})


async def test_apprise_sends(receiver: Receiver) -> None:
    block = MattermostWebhook(hostname="127.0.0.1", port=receiver.server_port, token="3ccdd113474722377935511fc85d3dd4")
    block.notify("hello", subject="subject", _sync=True)  # type: ignore[call-arg]
    await block.notify("again")  # type: ignore[misc]
    first, second = receiver.received
    assert first["path"] == "/hooks/3ccdd113474722377935511fc85d3dd4" and "hello" in first["body"]
    assert "again" in second["body"]
    receiver.status = 500
    block.notify("lost", _sync=True)  # type: ignore[call-arg]
    with block.raise_on_failure(), pytest.raises(NotificationError):
        block.notify("lost", _sync=True)  # type: ignore[call-arg]


TEAMS = (
    "https://prod-1.westus.logic.azure.com:443/workflows/643e69f83c8944438d68119179a10a64/triggers/manual/paths/invoke"
    "?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=KODuebWbDGYFr0z0eu-6Rj8aUKz7108W3wrNJZxFE5A"
)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (notifications.SlackWebhook(url="https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"), "slack://"),
        (notifications.MicrosoftTeamsWebhook(url=TEAMS, include_image=False), "workflow://"),
        (notifications.PagerDutyWebHook(integration_key="a" * 32, api_key="b" * 20, group="g"), "pagerduty://"),
        (notifications.TwilioSMS(account_sid="AC" + "a" * 32, auth_token="b" * 32, from_phone_number="18001234567", to_phone_numbers=["18004242424"]), "twilio://"),
        (notifications.OpsgenieWebhook(apikey="a" * 20, target_user=["ada"], target_team=["team"], details={"k": "v"}), "opsgenie://"),
        (notifications.DiscordWebhook(webhook_id="a" * 18, webhook_token="b" * 68, botname="bot"), "discord://"),
        (notifications.SendgridEmail(api_key="a" * 20, sender_email="a@example.com", to_emails=["b@example.com"]), "sendgrid://"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_each_service_is_one_that_apprise_knows(block: Any, expected: str) -> None:
    import apprise

    services = apprise.Apprise()
    assert services.add(block._target())
    (service,) = services
    assert service.url(privacy=False).startswith(expected)
    assert type(block).model_validate(block.model_dump(context={"include_secrets": True})) == block


def test_no_message_library_is_loaded_before_one_is_sent(run_script: Any) -> None:
    run_script(
        """
        import sys
        from prefect.blocks.notifications import SlackWebhook
        SlackWebhook(url="https://hooks.slack.com/services/a/b/c")
        assert not {"apprise", "httpx", "redis"} & sys.modules.keys()
        """
    ).ok()
