"""`prefect transfer`: copy blocks, variables, limits, pools, deployments, automations to another API."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from prefect._lazy import lazy_module
from prefect.cli import _api, _console, _output, _transfer
from prefect.cli._options import Output, Yes, flag
from prefect.settings import profiles as store
from prefect.settings import temporary_settings
from prefect.settings.table import Settings

if TYPE_CHECKING:
    from prefect._store import dialects
    from prefect.client.orchestration import SyncPrefectClient
else:
    dialects = lazy_module("prefect._store.dialects")

_PLACES = ("api.url", "api.key", "api.auth_string", "server.database.connection_url")

app = App(name="transfer", help="Copy what one API keeps to another.")


@app.default
def transfer(
    *,
    from_: Annotated[str, Parameter(name="--from", help="Profile of the API to copy from.")],
    to: Annotated[str, Parameter(name="--to", help="Profile of the API to copy to.")],
    only: Annotated[
        list[str] | None,
        Parameter(help="Only this kind, such as variables or 'work pools'. May be repeated.", negative=()),
    ] = None,
    pause: Annotated[bool, flag("Pause the deployments that are copied, so that not both APIs run them.")] = False,
    dry_run: Annotated[bool, flag("Only say what would be copied.")] = False,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Copy blocks, variables, limits, work pools, flows, deployments and automations to another API.

    What is there already stays as it is, so a transfer that broke off can be repeated. Runs are not copied.
    """
    _check(from_, to)
    kinds = {kind.name for kind in _transfer.KINDS}
    wanted = {name.lower().replace("-", " ") for name in only or ()}
    for name in wanted - kinds:
        _api.not_found("kind", name, kinds)
    if not dry_run:
        _console.agree(f"Copy from {_place(from_)} to {_place(to)}?", yes)
    plan = _transfer.Transfer(
        lambda: _client(from_), lambda: _client(to), only=wanted, pause=pause, dry_run=dry_run
    )  # fmt: skip
    tallies = []
    for tally in plan.run():
        tallies.append(tally)
        if output != "json" and (not wanted or tally.kind in wanted):
            print(_told(tally, dry_run), flush=True)
    if output == "json":
        _output.print_plain_json([asdict(tally) for tally in tallies])
    failed = sum(len(tally.failed) for tally in tallies)
    if failed:
        _console.fail(f"{_output.count(failed, 'object')} could not be copied. Mend that, and transfer again.")


def _check(source: str, target: str) -> None:
    """Refuse profiles that are not there, or that mean the same API."""
    for name in (source, target):
        if not store.exists(name):
            known = ", ".join(sorted(store.load_profiles(check_active=False).names))
            _console.fail(f"There is no profile {name!r}; there are {known}.")
    if _place(source) == _place(target):
        _console.fail(f"Profiles {source!r} and {target!r} both mean {_place(source)}: there is nothing to copy.")


@contextlib.contextmanager
def _client(profile: str) -> Iterator[SyncPrefectClient]:
    """A client of the API of a profile, whatever the environment says."""
    with _settings_of(profile), _api.client() as api:
        yield api


@contextlib.contextmanager
def _settings_of(profile: str) -> Iterator[Settings]:
    """The settings of a profile; of where the API is nothing but what the profile says."""
    elsewhere = [field.env_name for field in Settings.fields() if field.path in _PLACES]
    with (
        temporary_settings(restore_defaults=elsewhere),
        store.use_profile(profile, override_environment_variables=True) as used,
    ):
        yield used.settings


def _place(profile: str) -> str:
    """Which API a profile means."""
    with _settings_of(profile) as settings:
        if settings.api.url:
            return settings.api.url.rstrip("/")
        database = settings.server.database.connection_url
        if database is None:
            return str(settings.home / "pluperfect.db")
        return dialects.parse_url(database.get_secret_value()).render_as_string(hide_password=True)


def _told(tally: _transfer.Tally, dry_run: bool) -> str:
    if tally.unknown:
        return f"{tally.kind}: not known to one of the two APIs"
    parts = [f"{len(tally.copied)} {'to copy' if dry_run else 'copied'}"]
    if tally.there:
        parts.append(f"{len(tally.there)} there already")
    if tally.failed:
        parts.append(f"{len(tally.failed)} failed")
    lines = [f"{tally.kind}: {', '.join(parts)}", *(f"  {name}: {why}" for name, why in tally.failed.items())]
    return "\n".join(lines)
