"""What users do in flows, by the published client. Prints what came of it as JSON, after `OUT`."""

import json
from uuid import UUID

from prefect import flow, get_client, get_run_logger, task, unmapped
from prefect.artifacts import Artifact, create_markdown_artifact, create_table_artifact
from prefect.blocks.system import Secret
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.tasks import task_input_hash
from prefect.variables import Variable

out = {}
calls = {"flaky": 0, "cached": 0}


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


@flow
def child(n):
    get_run_logger().info("child %s", n)
    return add(n, 1)


@flow(log_prints=True)
def parent(n=200):
    out["parent"] = str(flow_run.id)
    print("hello from the parent")
    out["children"] = [child(1), child(2)]
    out["map"] = sum(future.result() for future in add.map(range(n), unmapped(1)))
    out["flaky"] = flaky()
    out["cached"] = [cached(4), cached(4)]
    create_markdown_artifact("# report", key="report")
    create_table_artifact([{"a": 1}], key="rows")
    return Completed(message="well done")


@flow(retries=1)
def fails():
    out["fails"] = str(flow_run.id)
    raise RuntimeError("on purpose")


parent()
try:
    fails()
except RuntimeError as error:
    out["error"] = str(error)
out["calls"] = calls
Variable.set("colour", "red", tags=["t"])
Variable.set("colour", {"a": [1]}, overwrite=True)
out["variables"] = [Variable.get("colour"), Variable.get("none_such", default=7)]
Secret(value="hidden").save("a-secret", overwrite=True)
out["secret"] = Secret.load("a-secret").get()
out["artifact"] = Artifact.get("report").data
resource = {"prefect.resource.id": "colour.1"}
out["event"] = str(emit_event("colour.changed", resource, payload={"to": "red"}).id)
with get_client(sync_client=True) as client:
    run = client.read_flow_run(UUID(out["parent"]))
    out["state"] = [run.state_type.value, run.state.message, run.run_count]
    out["states"] = [state.name for state in client.read_flow_run_states(run.id)]
print("OUT" + json.dumps(out))
