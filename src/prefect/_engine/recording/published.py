"""Recording with a server that has only the published operations: a Prefect server.

Task runs are reported as events, which such a server turns into task runs by and by. Flow runs are made and change state
one request at a time. The server chooses their ids: a run that was begun while it was away keeps the id that it has
here, and what is said of it is translated. Log lines have no ids there: when an answer gets lost, some may come twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from prefect._engine.recording.units import Refused

Ask = Callable[..., Any]

_AT_ONCE = 500
_OF_THE_RUN = (
    "name", "task_key", "dynamic_key", "task_version", "empirical_policy", "task_inputs", "tags", "cache_key",
    "cache_expiration", "flow_run_run_count", "expected_start_time", "next_scheduled_start_time",
)  # fmt: skip


class Published:
    """Says in published operations what a message says.

    Args:
        ask: sends a request (method, route, body) and returns what the answer holds.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._ids: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._last_states: dict[str, tuple[str, dict[str, Any]]] = {}

    def id_of(self, id: str) -> str:
        """The id that the server has given to a flow run, or to an artifact."""
        return self._ids.get(id, id)

    def record(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send what a message holds; returns the answer as `POST /runs/record` gives it."""
        task_runs = message.get("task_runs") or []
        flow_ids = {}
        for record in message.get("flow_runs") or ():
            flow_ids[record["flow_name"]] = self._make_flow_run(record, task_runs)
        events = [event for record in task_runs for event in self._events_of(record)]
        events += message.get("events") or ()
        for start in range(0, len(events), _AT_ONCE):
            self._ask("POST", "/events", events[start : start + _AT_ONCE])
        logs = [self._line(line) for line in message.get("logs") or ()]
        for start in range(0, len(logs), _AT_ONCE):
            self._ask("POST", "/logs/", logs[start : start + _AT_ONCE])
        for artifact in message.get("artifacts") or ():
            self._leave(artifact)
        missing = [change["id"] for change in message.get("artifact_changes") or () if not self._change(change)]
        # the state that a run is made in is entered already
        first = {record["state"]["id"] for record in message.get("flow_runs") or ()}
        answers = [
            {"status": "ACCEPT", "state": proposal["state"]}
            if proposal["state"]["id"] in first
            else self._propose(proposal)
            for proposal in message.get("proposals") or ()
        ]
        return {"flow_ids": flow_ids, "missing_artifacts": missing, "proposals": answers}

    # -- flow runs ---------------------------------------------------------------------------------------------------

    def _make_flow_run(self, record: dict[str, Any], task_runs: list[dict[str, Any]]) -> str:
        flow_id = self._ask("POST", "/flows/", {"name": record["flow_name"]})["id"]
        body = {
            name: record[name]
            for name in (
                "name",
                "flow_version",
                "parameters",
                "empirical_policy",
                "tags",
                "labels",
                "parent_task_run_id",
            )
        }
        if record["parent_task_run_id"] is not None:
            self._make_stand(record, task_runs)
        # the key makes this the same run when it is asked for again
        body |= {"flow_id": flow_id, "idempotency_key": record["id"], "state": _proposed(record["state"])}
        made = self._ask("POST", "/flow_runs/", body)
        self._ids[record["id"]] = made["id"]
        self._names[made["id"]] = made["name"]
        return flow_id

    def _make_stand(self, record: dict[str, Any], task_runs: list[dict[str, Any]]) -> None:
        """The task run that stands for a sub-flow must be there before the sub-flow's run."""
        id = record["parent_task_run_id"]
        known = next((each for each in task_runs if each["id"] == id), {})
        parent = record["parent_flow_run_id"]
        body = {
            "id": id,
            "name": known.get("name") or record["name"],
            "flow_run_id": self.id_of(parent) if parent is not None else None,
            "task_key": known.get("task_key") or record["flow_name"],
            "dynamic_key": known.get("dynamic_key") or id,
            "state": {"type": "PENDING"},
        }
        self._ask("POST", "/task_runs/", body)

    def _propose(self, proposal: dict[str, Any]) -> dict[str, Any]:
        id = self.id_of(proposal["flow_run_id"])
        name, state = proposal.get("name"), _proposed(proposal["state"])
        try:
            if name is not None and self._names.setdefault(id, name) != name:
                self._ask("PATCH", f"/flow_runs/{id}", {"name": name})
                self._names[id] = name
            force = bool(proposal.get("force") or proposal.get("decided"))
            answer = self._ask("POST", f"/flow_runs/{id}/set_state", {"state": state, "force": force})
        except Refused as exc:
            if exc.status == 404:
                return {"flow_run_status": "unknown", "status": "ABORT", "state": None}
            raise
        entered = answer.get("state") or {}
        transition = (entered.get("state_details") or {}).get("transition_id")
        if answer["status"] == "REJECT" and transition == proposal["state"]["id"]:
            answer["status"] = "ACCEPT"  # the answer to the same proposal had got lost
        return answer

    # -- artifacts ---------------------------------------------------------------------------------------------------

    def _leave(self, artifact: dict[str, Any]) -> None:
        body = {name: value for name, value in artifact.items() if name not in ("id", "created")}
        if body.get("flow_run_id") is not None:
            body["flow_run_id"] = self.id_of(body["flow_run_id"])
        self._ids[artifact["id"]] = self._ask("POST", "/artifacts/", body)["id"]

    def _change(self, change: dict[str, Any]) -> bool:
        body = {name: value for name, value in change.items() if name != "id"}
        try:
            self._ask("PATCH", f"/artifacts/{self.id_of(change['id'])}", body)
        except Refused as exc:
            if exc.status == 404:
                return False
            raise
        return True

    # -- task runs and logs ------------------------------------------------------------------------------------------

    def _events_of(self, record: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """An event for each state that a task run entered, from which the server makes the task run."""
        states = record["states"]
        begun = record["run_count"] - sum(state["type"] == "RUNNING" for state in states)
        previous_id: str | None
        previous: dict[str, Any] | None
        previous_id, previous = self._last_states.pop(record["id"], (None, None))
        run = {name: record[name] for name in _OF_THE_RUN if record.get(name) is not None}
        for state in states:
            begun += state["type"] == "RUNNING"
            last = state is states[-1]
            times = {"run_count": begun, "total_run_time": record["total_run_time"] if last else 0.0}
            if begun and record.get("start_time") is not None:
                times["start_time"] = record["start_time"]
            if last and record.get("end_time") is not None:
                times["end_time"] = record["end_time"]
            entered = {
                "type": state["type"], "name": state["name"], "message": state.get("message") or "",
                "state_details": state.get("state_details") or {}, "data": state.get("data"),
            }  # fmt: skip
            yield {
                "id": state["id"],
                "occurred": state["timestamp"],
                "event": f"prefect.task-run.{state['name']}",
                "resource": _resource(record, state, begun),
                "related": self._related(record),
                "payload": {
                    "intended": {"from": previous["type"] if previous else None, "to": state["type"]},
                    "initial_state": previous,
                    "validated_state": entered,
                    "task_run": {"labels": {}, "tags": [], "task_inputs": {}, **run, **times},
                },
                "follows": previous_id,
            }
            previous_id, previous = state["id"], {name: entered[name] for name in entered if name != "data"}
        if not _is_over(states[-1]) and previous_id is not None and previous is not None:
            self._last_states[record["id"]] = (previous_id, previous)

    def _related(self, record: dict[str, Any]) -> list[dict[str, str]]:
        id = record.get("flow_run_id")
        tags = [
            {"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"}
            for tag in record.get("tags", ())
        ]
        if id is None:
            return tags
        return [
            {"prefect.resource.id": f"prefect.flow-run.{self.id_of(id)}", "prefect.resource.role": "flow-run"},
            *tags,
        ]

    def _line(self, line: dict[str, Any]) -> dict[str, Any]:
        id = line.get("flow_run_id")
        said = {name: value for name, value in line.items() if name not in ("id", "worker_id")}
        return {**said, "flow_run_id": self.id_of(id) if id is not None else None}


def _resource(record: dict[str, Any], state: dict[str, Any], run_count: int) -> dict[str, str]:
    moment = state["timestamp"]
    return {
        "prefect.resource.id": f"prefect.task-run.{record['id']}",
        "prefect.resource.name": record["name"],
        "prefect.run-count": str(run_count),
        "prefect.state-message": state.get("message") or "",
        "prefect.state-name": state["name"],
        "prefect.state-timestamp": moment.isoformat() if isinstance(moment, datetime) else moment,
        "prefect.state-type": state["type"],
        "prefect.orchestration": "client",  # such a server makes task runs of no other events
    }


def _is_over(state: dict[str, Any]) -> bool:
    return state["type"] in ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")


def _proposed(state: dict[str, Any]) -> dict[str, Any]:
    """A state as it is proposed there; its id tells, when it is proposed again, that it was before."""
    said = {name: state[name] for name in ("type", "name", "message", "data") if state.get(name) is not None}
    said["state_details"] = {**(state.get("state_details") or {}), "transition_id": state["id"]}
    return said
