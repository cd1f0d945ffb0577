"""What users do in flows, by the published client. Prints what came of it as JSON, after `OUT`."""

import json
import threading
from uuid import UUID

from prefect import flow, get_client, get_run_logger, task, unmapped
from prefect.artifacts import (
    Artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.blocks.system import Secret
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency, rate_limit
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.tasks import task_input_hash
from prefect.variables import Variable

out = {}
calls = {"flaky": 0, "cached": 0}
inside = {"now": 0, "most": 0}
lock = threading.Lock()


@task
def add(x, y):
    return x + y


@task(retries=2, retry_delay_seconds=0.1)
def flaky():
    calls["flaky"] += 1
    if calls["flaky"] < 3:
        raise ValueError("not yet")
    return "good"


@task(cache_key_fn=task_input_hash, persist_result=True)
def cached(x):
    calls["cached"] += 1
    return x * 2


@task(tags=["narrow"])
def one_at_a_time():
    with lock:
        inside["now"] += 1
        inside["most"] = max(inside.values())
    with lock:
        inside["now"] -= 1


@flow
def child(n):
    get_run_logger().info("child %s", n)
    return add(n, 1)


@flow(log_prints=True)
def parent(n=500):
    out["parent"] = str(flow_run.id)
    print("hello from the parent")
    out["children"] = [child(1), child(2)]
    out["map"] = sum(future.result() for future in add.map(range(n), unmapped(1)))
    out["flaky"] = flaky()
    out["cached"] = [cached(4), cached(4)]
    create_markdown_artifact("# report", key="report")
    create_table_artifact([{"a": 1}], key="rows")
    create_link_artifact("http://localhost/x", link_text="x", key="link")
    update_progress_artifact(create_progress_artifact(25.0, key="progress"), progress=100.0)
    for future in [one_at_a_time.submit() for _ in range(2)]:
        future.result()
    with concurrency("seats", occupy=2, strict=True), get_client(sync_client=True) as client:
        out["seats"] = client.read_global_concurrency_limit_by_name("seats").active_slots
    rate_limit("rate", strict=True)
    return Completed(message="well done")


@flow(retries=1)
def fails():
    out["fails"] = str(flow_run.id)
    raise RuntimeError("on purpose")


with get_client(sync_client=True) as client:
    client.create_concurrency_limit("narrow", 1)
    client.upsert_global_concurrency_limit_by_name("seats", 2)
    client.create_global_concurrency_limit(
        GlobalConcurrencyLimitCreate(name="rate", limit=5, slot_decay_per_second=5.0)
    )
parent()
try:
    fails()
except RuntimeError as error:
    out["error"] = str(error)
out["calls"] = calls
out["most"] = inside["most"]
Variable.set("colour", "red", tags=["t"])
Variable.set("colour", {"a": [1]}, overwrite=True)
out["variables"] = [Variable.get("colour"), Variable.get("none_such", default=7)]
Secret(value="hidden").save("a-secret", overwrite=True)
out["secret"] = Secret.load("a-secret").get()
out["artifact"] = Artifact.get("report").data
out["progress"] = Artifact.get("progress").data
resource = {"prefect.resource.id": "colour.1"}
out["event"] = str(emit_event("colour.changed", resource, payload={"to": "red"}).id)
with get_client(sync_client=True) as client:
    run = client.read_flow_run(UUID(out["parent"]))
    out["state"] = [run.state_type.value, run.state.message, run.run_count]
    out["seats after"] = client.read_global_concurrency_limit_by_name("seats").active_slots
    out["states"] = [state.name for state in client.read_flow_run_states(run.id)]
print("OUT" + json.dumps(out))
