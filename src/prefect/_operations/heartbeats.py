"""Flow runs of clients that know no leases, but send a sign of life now and then: the event `prefect.flow-run.heartbeat`.

Whoever sent two is expected to send more, as often: the run is held under a lease from then on, which three missed ones
end. Of who sent one, or none, nobody knows whether more were ever to come.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from prefect._clock import now
from prefect._operations.errors import NotFound
from prefect._operations.leases import take_back
from prefect._operations.state_changes import locked_flow_run
from prefect._rules.states import TERMINAL
from prefect._store import leases
from prefect._store.tables import event

HEARTBEAT = "prefect.flow-run.heartbeat"
"""The name of the event."""

_RESOURCE = "prefect.flow-run."
_KIND = "heartbeat"
_MISSED = 3
_SHORTEST, _LONGEST = timedelta(seconds=90), timedelta(hours=6)


def receive(tx: sa.Connection, resource_ids: Iterable[str]) -> None:
    """Take note of signs of life, whose events have just been written; what is not a flow run gives none."""
    for resource_id in sorted(set(resource_ids)):
        try:
            id = UUID(resource_id.removeprefix(_RESOURCE))
        except ValueError:
            continue
        _beat(tx, id, now())


def _beat(tx: sa.Connection, id: UUID, moment: datetime) -> None:
    try:
        row = locked_flow_run(tx, id)
    except NotFound:
        return
    lease = leases.read(tx, id)
    if lease is not None and lease["holder_kind"] != _KIND:
        return  # somebody holds it who does so as we do
    before = lease["renewed_at"] if lease is not None else _one_before(tx, id)
    if before is None:
        return
    expires = moment + min(max(_MISSED * (moment - before), _SHORTEST), _LONGEST)
    if lease is None:
        if row["state_type"] not in TERMINAL:
            leases.take(tx, id, leases.Holder(_KIND, id, f"process of {row['name']}"), moment, expires, claim=False)
    elif lease["expires"] is None:
        take_back(tx, id, lease["token"], moment, expires)
    else:
        leases.renew(tx, {id: lease["token"]}, moment, expires)


def _one_before(tx: sa.Connection, id: UUID) -> datetime | None:
    """When the sign of life before the newest one was received."""
    of_run = sa.and_(event.c.resource_id == f"{_RESOURCE}{id}", event.c.event == HEARTBEAT)
    statement = sa.select(event.c.received).where(of_run).order_by(event.c.occurred.desc()).offset(1).limit(1)
    return tx.execute(statement).scalar_one_or_none()
