"""Limits of how much happens at once."""

from __future__ import annotations

from typing import Any

from conformance.script import DELETE, GET, NOBODY, PATCH, POST, Script, names, only

_SLOTS = only("name", "limit", "active", "active_slots", "denied_slots", "slot_decay_per_second")


def limits_with_names() -> Script:
    at = "/v2/concurrency_limits/"
    made = yield POST, at, {"name": "lf-limit", "limit": 2, "active": True}
    yield POST, at, {"name": "lf-limit", "limit": 2}
    yield POST, at, {"name": "lf-bad", "limit": -1}
    yield POST, at, {"name": "lf/bad", "limit": 1}
    yield POST, at, {"limit": 1}
    yield GET, f"{at}lf-limit", None
    yield GET, f"{at}{made['id']}", None
    yield GET, f"{at}lf-none", None
    yield GET, f"{at}{NOBODY}", None
    yield PATCH, f"{at}lf-limit", {"limit": 5, "slot_decay_per_second": 0.5}
    yield PATCH, f"{at}{made['id']}", {"active": False, "name": "lf-renamed"}
    yield PATCH, f"{at}lf-none", {"limit": 5}
    yield PATCH, f"{at}lf-renamed", {"limit": -5}
    yield GET, f"{at}lf-renamed", None
    mine = lambda answer: [one for one in names(answer) if one.startswith("lf-")]  # noqa: E731
    yield POST, f"{at}filter", {"limit": 200}, mine
    yield POST, f"{at}filter", {"offset": -1}
    yield DELETE, f"{at}lf-renamed", None
    yield DELETE, f"{at}lf-renamed", None
    again = yield POST, at, {"name": "lf-again", "limit": 1}
    yield DELETE, f"{at}{again['id']}", None


def slots() -> Script:
    at = "/v2/concurrency_limits"
    yield POST, f"{at}/", {"name": "ls-limit", "limit": 2}, _SLOTS
    take = {"names": ["ls-limit"], "slots": 1, "mode": "concurrency"}
    yield POST, f"{at}/increment", take
    yield POST, f"{at}/increment", {**take, "slots": 2}
    yield POST, f"{at}/increment", {**take, "slots": 3}
    yield POST, f"{at}/increment", {**take, "slots": 0}
    yield POST, f"{at}/increment", {**take, "names": ["ls-none"], "create_if_missing": False}
    yield POST, f"{at}/increment", {**take, "names": []}
    yield POST, f"{at}/increment", {**take, "mode": "nope"}
    yield POST, f"{at}/increment", {**take, "mode": "rate_limit"}
    yield GET, f"{at}/ls-limit", None, only("active_slots", "limit")
    yield POST, f"{at}/decrement", {"names": ["ls-limit"], "slots": 1, "occupancy_seconds": 1.0}
    yield POST, f"{at}/decrement", {"names": ["ls-none"], "slots": 1}
    yield POST, f"{at}/decrement", {"names": ["ls-limit"], "slots": 0}
    yield GET, f"{at}/ls-limit", None, only("active_slots", "denied_slots")
    yield POST, f"{at}/", {"name": "ls-off", "limit": 1, "active": False}, _SLOTS
    yield POST, f"{at}/increment", {**take, "names": ["ls-off"], "slots": 5}
    yield POST, f"{at}/", {"name": "ls-rate", "limit": 3, "slot_decay_per_second": 0.001}, _SLOTS
    yield POST, f"{at}/increment", {"names": ["ls-rate"], "slots": 2, "mode": "rate_limit"}
    yield POST, f"{at}/increment", {"names": ["ls-rate"], "slots": 2, "mode": "rate_limit"}


def leases() -> Script:
    at = "/v2/concurrency_limits"
    yield POST, f"{at}/", {"name": "le-limit", "limit": 2}, _SLOTS
    take = {"names": ["le-limit"], "slots": 1, "mode": "concurrency", "lease_duration": 60}
    holder = {"type": "flow_run", "id": NOBODY}
    lease = yield POST, f"{at}/increment-with-lease", {**take, "holder": holder}
    yield POST, f"{at}/increment-with-lease", {**take, "slots": 2}
    yield POST, f"{at}/increment-with-lease", {**take, "lease_duration": 1}
    yield POST, f"{at}/increment-with-lease", {**take, "holder": {"type": "nope", "id": NOBODY}}
    yield GET, f"{at}/le-limit", None, only("active_slots")
    yield POST, f"{at}/leases/{lease['lease_id']}/renew", {"lease_duration": 60}
    yield POST, f"{at}/leases/{NOBODY}/renew", {"lease_duration": 60}
    yield POST, f"{at}/leases/{lease['lease_id']}/renew", {"lease_duration": "long"}
    yield POST, f"{at}/decrement-with-lease", {"lease_id": lease["lease_id"]}
    yield POST, f"{at}/decrement-with-lease", {"lease_id": lease["lease_id"]}
    yield POST, f"{at}/decrement-with-lease", {}
    yield POST, f"{at}/leases/{lease['lease_id']}/renew", {"lease_duration": 60}
    yield GET, f"{at}/le-limit", None, only("active_slots")


def limits_on_tags() -> Script:
    at = "/concurrency_limits"
    made = yield POST, f"{at}/", {"tag": "lt-tag", "concurrency_limit": 1}
    yield POST, f"{at}/", {"tag": "lt-tag", "concurrency_limit": 3}
    yield POST, f"{at}/", {"tag": "lt-bad"}
    yield GET, f"{at}/tag/lt-tag", None
    yield GET, f"{at}/tag/lt-none", None
    yield GET, f"{at}/{made['id']}", None
    yield GET, f"{at}/{NOBODY}", None
    first, second = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
    yield POST, f"{at}/increment", {"names": ["lt-tag"], "task_run_id": first}
    yield POST, f"{at}/increment", {"names": ["lt-tag", "lt-none"], "task_run_id": second}
    yield POST, f"{at}/increment", {"names": ["lt-tag"], "task_run_id": NOBODY}
    yield POST, f"{at}/increment", {"names": ["lt-tag"]}
    yield GET, f"{at}/tag/lt-tag", None
    yield POST, f"{at}/decrement", {"names": ["lt-tag", "lt-none"], "task_run_id": first}
    yield GET, f"{at}/tag/lt-tag", None
    yield POST, f"{at}/tag/lt-tag/reset", {"slot_override": [first]}
    yield POST, f"{at}/tag/lt-tag/reset", {}
    yield POST, f"{at}/tag/lt-none/reset", {}

    def mine(answer: list[dict[str, Any]]) -> list[Any]:
        return [one for one in answer if one["tag"].startswith("lt-")]

    yield POST, f"{at}/filter", {"limit": 200}, mine
    yield POST, f"{at}/filter", {"limit": -1}
    yield DELETE, f"{at}/tag/lt-tag", None
    yield DELETE, f"{at}/tag/lt-tag", None
    again = yield POST, f"{at}/", {"tag": "lt-again", "concurrency_limit": 1}
    yield DELETE, f"{at}/{again['id']}", None
    yield DELETE, f"{at}/{again['id']}", None
