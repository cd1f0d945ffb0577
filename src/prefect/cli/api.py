"""`prefect api`: any request to the API, answered as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import urlsplit

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console
from prefect.cli._options import flag
from prefect.settings import get_current_settings

if TYPE_CHECKING:
    import httpx
    import orjson

    from prefect import exceptions
    from prefect._transport import errors as transport_errors
    from prefect.client import operations
else:
    httpx = lazy_module("httpx")
    orjson = lazy_module("orjson")
    exceptions = lazy_module("prefect.exceptions")
    transport_errors = lazy_module("prefect._transport.errors")
    operations = lazy_module("prefect.client.operations")

app = App(
    name="api",
    help="""Send a request to the API and print its answer.

The exit status is 0 for an answer that is a success, 3 when the API wants another key (401, 403), 4 for another refusal
(4xx), 5 for a fault of the server (5xx), and 7 when there is no answer.""",
)

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_WITH_BODY = ("POST", "PUT", "PATCH")
_HIDDEN = ("authorization", "cookie", "set-cookie", "prefect-csrf-token")


@app.default
def request(
    method: Annotated[str, Parameter(help="GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS.")],
    path: Annotated[str, Parameter(help="Where, below the address of the API: /flows/filter")],
    *,
    data: Annotated[
        str | None,
        Parameter(help="The body, as JSON; @FILE reads a file and - standard input.", allow_leading_hyphen=True),
    ] = None,
    header: Annotated[
        list[str] | None,
        Parameter(name=["--header", "-H"], help="A header, as 'Name: value'. May be repeated.", negative=()),
    ] = None,
    verbose: Annotated[bool, flag("Say on standard error what is sent and received.", "--verbose", "-v")] = False,
    root: Annotated[bool, flag("The path begins at the root of the server, not below the API.")] = False,
    account: Annotated[bool, flag("The path is one of a cloud's account, not of its workspace.")] = False,
) -> None:
    """Send a request to the API and print its answer."""
    verb = method.upper()
    if verb not in _METHODS:
        _console.usage(f"There is no method {method!r}; the methods are {', '.join(_METHODS)}.")
    content = _body(data, verb)
    headers = _headers(header or ())
    if content is not None:
        headers.setdefault("content-type", "application/json")
    with _api.client() as api:
        base = str(api.api_url).rstrip("/")
        url = f"{_base(base, root, account)}/{path.lstrip('/')}"
        try:
            reply = operations.http_client(api).request(verb, url, content=content, headers=headers)
        except exceptions.PrefectHTTPStatusError as problem:  # an answer too, and ours to print
            reply = problem.response
        except transport_errors.OperationUnavailable as problem:
            _fail(str(problem), 4)
        except httpx.HTTPError as problem:
            _fail(str(problem), 7)
    if verbose:
        _say_traffic(reply)
    _print(reply)
    if reply.status_code >= 400:
        _fail(f"Error: {reply.status_code} {reply.reason_phrase}", _exit_status(reply.status_code))


def _fail(message: str, status: int) -> NoReturn:
    raise _console.CommandError(message, status)


def _exit_status(code: int) -> int:
    if code in (401, 403):
        return 3
    return 4 if code < 500 else 5


def _body(data: str | None, method: str) -> bytes | None:
    """The body of a request; an empty object where a body is expected and none is given."""
    if data is None:
        return b"{}" if method in _WITH_BODY else None
    if data == "-":
        text = sys.stdin.read()
    elif data.startswith("@"):
        try:
            text = Path(data[1:]).read_text(encoding="utf-8")
        except OSError as problem:
            _console.fail(f"{data[1:]} cannot be read: {problem.strerror}.")
    else:
        text = data
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        _console.usage(f"--data is not JSON: {problem}")
    return text.encode()


def _headers(given: Iterable[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for one in given:
        name, colon, value = one.partition(":")
        if not colon or not name.strip():
            _console.usage(f"--header {one!r} should look like 'Name: value'.")
        headers[name.strip()] = value.strip()
    return headers


def _base(api_url: str, root: bool, account: bool) -> str:
    """The address below which a path is looked for."""
    if root and account:
        _console.usage("Give --root or --account, not both.")
    if account:
        if not get_current_settings().connected_to_cloud or "/workspaces/" not in api_url:
            _console.usage("--account is for the address of a cloud's workspace; PREFECT_API_URL is none.")
        return api_url.partition("/workspaces/")[0]
    if root:
        parts = urlsplit(api_url)
        return f"{parts.scheme}://{parts.netloc}"
    return api_url


def _print(reply: httpx.Response) -> None:
    """Print an answer: JSON indented, anything else as it is."""
    if not reply.content:
        return
    try:
        value: Any = orjson.loads(reply.content)
    except orjson.JSONDecodeError:
        print(reply.text)
    else:
        print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def _say_traffic(reply: httpx.Response) -> None:
    sent = reply.request
    lines = [f"> {sent.method} {sent.url}", *(f"> {line}" for line in _header_lines(sent.headers)), ""]
    lines += [
        f"< {reply.status_code} {reply.reason_phrase}",
        *(f"< {line}" for line in _header_lines(reply.headers)),
        "",
    ]
    print("\n".join(lines), file=sys.stderr)


def _header_lines(headers: httpx.Headers) -> list[str]:
    return [f"{name}: {'********' if name.lower() in _HIDDEN else value}" for name, value in headers.items()]
