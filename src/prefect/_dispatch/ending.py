"""When the process of a run has ended: what to say of the run, if it could not say so itself."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from prefect._dispatch.claims import Claim, ClaimSource
from prefect._lazy import lazy_module
from prefect._rules.states import CANCELLING, PAUSED, PENDING, RUNNING, SCHEDULED

if TYPE_CHECKING:
    from prefect import states
else:
    states = lazy_module("prefect.states")

_OPEN = (PENDING, RUNNING, CANCELLING)

_WHY = {
    -9: (
        "It was killed (SIGKILL): often because the machine ran out of memory. Give it more, or have the flow hold less "
        "at a time."
    ),
    -15: "It was told to terminate (SIGTERM), as by a shutdown of the machine or of its container.",
    -2: "It was interrupted (SIGINT).",
    -11: "It accessed memory that is not its own (SIGSEGV): a fault in a compiled package that the flow uses.",
    -6: "It aborted itself (SIGABRT), as compiled packages do when they cannot go on.",
    125: "The container could not be started.",
    126: "The command could not be executed.",
    127: "The command was not found: is it installed where the run is carried out?",
    137: "It was killed (SIGKILL), often because the machine or container ran out of memory.",
    143: "It was told to terminate (SIGTERM).",
    0x40010004: "Its console was closed.",
    0xC0000005: "It accessed memory that is not its own: a fault in a compiled package that the flow uses.",
    0xC000013A: "It was interrupted (Ctrl-C).",
}


def describe_status(status: int | None) -> str:
    """An exit status in words."""
    if status is None:
        return "its exit status is not known"
    if status < 0:
        try:
            return f"ended by signal {signal.Signals(-status).name}"
        except ValueError:
            return f"ended by signal {-status}"
    return f"exit status {status}"


def explain_status(status: int | None) -> str:
    """What an exit status says of the cause; '' when nothing."""
    return _WHY.get(status, "") if status is not None else ""


async def settle(source: ClaimSource, claim: Claim, status: int | None, *, cancelled: bool = False) -> Any:
    """See to it that a run whose process has ended is in a state that says so.

    Args:
        source: knows the API.
        claim: the run.
        status: the exit status; None when it is not known.
        cancelled: the process was ended because the run was to be cancelled.

    Returns:
        the state that this put the run in; None when there was nothing to do.
    """
    run = await source.client.read_flow_run(claim.id)
    state = run.state
    waits_in_process = state is not None and state.type.value in (SCHEDULED, PAUSED) and status not in (None, 0)
    if state is None or not (state.type.value in _OPEN or (waits_in_process and claim.token is not None)):
        return None
    if cancelled or state.type.value == CANCELLING:
        return await source.propose(
            claim, states.Cancelled(message="The flow run was cancelled, and its process ended.")
        )
    if status == 0 and source.has_leases is not False:
        # it may have reported its end to where it is not read yet; if not, the lease ends and says so
        return None
    message = f"Flow run process ended without an end of the run: {describe_status(status)}. {explain_status(status)}"
    return await source.process_ended(claim, message.strip())


def parse_identifier(text: str) -> tuple[str, int]:
    """The machine and the process of an identifier.

    Raises:
        ValueError: the text is none.
    """
    host, _, pid = text.rpartition(":")
    if not host:
        raise ValueError(f"{text!r} does not name a process as 'host:pid'.")
    return host, int(pid)


def as_json(model: Any) -> Any:
    """A model as JSON has it, for another process; None stays None."""
    return None if model is None else model.model_dump(mode="json")
