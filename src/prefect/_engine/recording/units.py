"""What is handed to an outbox by those who wait for the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prefect.exceptions import PrefectException

Record = dict[str, Any]

OF_UNITS = ("flow_runs", "artifacts", "artifact_changes", "proposals")
"""The kinds of records that come with units: each is answered by itself."""


class Refused(PrefectException):
    """The server does not take what it was sent.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status

    @property
    def is_about_us(self) -> bool:
        """Whether it is who sends that is refused, and not what is sent."""
        return self.status in (401, 403)


class Unit:
    """Something whose sender goes on when it is answered, or kept.

    Attributes:
        flow_run: a flow run to be made, or None.
        artifact: an artifact to be left, or None.
        artifact_change: a change of an artifact, or None.
        proposal: a state that a flow run is to enter, or None.
        patient: whether it may be kept for a server that has never answered.
        waits: whether an answer is worth waiting for, when the server does not answer at once.
        answer: what the server said about the proposal or the artifact; None when it could not be asked.
        flow_id: of the flow run that was made.
        error: why it could not be done.
    """

    __slots__ = (
        "answer", "artifact", "artifact_change", "done", "error", "flow_id", "flow_run", "patient", "proposal", "waits",
    )  # fmt: skip

    def __init__(
        self,
        *,
        flow_run: Record | None = None,
        artifact: Record | None = None,
        artifact_change: Record | None = None,
        proposal: Record | None = None,
        patient: bool = False,
    ) -> None:
        self.flow_run = flow_run
        self.artifact = artifact
        self.artifact_change = artifact_change
        self.proposal = proposal
        self.patient = patient
        self.waits = flow_run is not None or proposal is not None
        self.answer: dict[str, Any] | None = None
        self.flow_id: str | None = None
        self.error: BaseException | None = None
        self.done = False

    def records(self) -> Iterator[tuple[str, Record]]:
        """What is to be sent of it, each with its kind."""
        for kind in OF_UNITS:
            record = getattr(self, kind[:-1])
            if record is not None:
                yield kind, record

    def has(self, record: Record) -> bool:
        """Whether a record is one of this unit's."""
        return any(own is record for _, own in self.records())


def answer_all(units: list[Unit], answer: dict[str, Any]) -> None:
    """Give each unit what the server said about it."""
    said = iter(answer.get("proposals") or ())
    flow_ids = answer.get("flow_ids") or {}
    missing = answer.get("missing_artifacts") or ()
    for unit in units:
        if unit.artifact is not None:
            unit.answer = {}
        if unit.artifact_change is not None:
            unit.answer = {"missing": unit.artifact_change["id"] in missing}
        if unit.proposal is not None:
            unit.answer = next(said, None)
        if unit.flow_run is not None:
            unit.flow_id = flow_ids.get(unit.flow_run["flow_name"])
