"""`prefect work-pool`, `work-queue`, `worker`, `shell`, and what `flow-run` can do about a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.settings import context
from prefect.states import Completed, Failed, Pending, Running

from .conftest import Cli, Make


def test_pools(cli: Cli, tmp_path: Path) -> None:
    assert "No work pools found" in cli.ok("work-pool", "ls")
    assert "prefect worker start" in cli.ok("work-pool", "create", "etl", "--paused")
    assert "already" in cli.fails("work-pool", "create", "etl")
    assert "cannot be empty" in cli.fails("work-pool", "create", " ")
    assert cli.json("work-pools", "ls")[0]["type"] == "process"
    assert "paused" in cli.ok("work-pool", "ls")
    cli.ok("work-pool", "resume", "etl")
    cli.ok("work-pool", "pause", "etl")
    assert cli.json("work-pool", "inspect", "etl")["is_paused"] is True
    cli.ok("work-pool", "set-concurrency-limit", "etl", "3")
    assert cli.json("work-pool", "inspect", "etl")["concurrency_limit"] == 3
    assert "0 of 3 slots" in cli.ok("work-pool", "slots", "etl")
    cli.ok("work-pool", "clear-concurrency-limit", "etl")
    cli.ok("work-pool", "update", "etl", "--description", "for etl")
    pool = cli.json("work-pool", "inspect", "etl")
    assert (pool["concurrency_limit"], pool["description"]) == (None, "for etl")
    assert "for etl" in cli.ok("work-pool", "inspect", "etl")
    assert "Say what is to change" in cli.fails("work-pool", "update", "etl", status=2)
    assert "Did you mean 'etl'?" in cli.fails("work-pool", "inspect", "etm")
    assert "No runs are due" in cli.ok("work-pool", "preview", "etl")
    template = tmp_path / "template.json"
    cli.ok("work-pool", "get-default-base-job-template", "--file", str(template))
    assert json.loads(template.read_text()) == json.loads(cli.ok("work-pool", "get-default-base-job-template"))
    cli.ok("work-pool", "create", "etl", "--overwrite", "--base-job-template", str(template))
    assert "There are no workers of type 'moon'" in cli.fails("work-pool", "create", "luna", "--type", "moon")
    # the template of a package that is not installed here
    cli.ok("work-pool", "create", "ships", "--type", "kubernetes")
    of_kubernetes = json.loads(cli.ok("work-pool", "get-default-base-job-template", "--type", "kubernetes"))
    assert cli.json("work-pool", "inspect", "ships")["base_job_template"] == of_kubernetes
    assert of_kubernetes["variables"]["properties"]["namespace"]["default"] == "default"
    assert "provider" in cli.fails("work-pool", "provision-infra", "etl")
    cli.ok("work-pool", "create", "mine", "--set-as-default")
    assert "mine" in cli.ok("config", "view")
    assert "Deleted" in cli.ok("work-pool", "delete", "etl")


class AwsCredentials(Block):
    """As the published package has them, for all that the command sees."""

    _block_type_slug = "aws-credentials"


def test_storage_of_pools(cli: Cli) -> None:
    context._process.clear()
    AwsCredentials().save("c")
    cli.ok("work-pool", "create", "etl")
    assert "has no storage" in cli.ok("work-pool", "storage", "inspect", "etl")
    given = [
        "etl",
        "--bucket",
        "b",
        "--aws-credentials-block-name",
        "c",
        "--launcher",
        "python",
        "--launcher-arg",
        "-X",
    ]
    cli.ok("work-pool", "storage", "configure", "s3", *given, "--upload-launcher", "up")
    found = cli.json("work-pool", "storage", "inspect", "etl")
    upload, execution = found["upload"], found["execution"]
    assert (found["type"], upload["launcher"], execution["launcher"]) == ("S3", ["up"], ["python", "-X"])
    given_to_steps = {"bucket": "b", "aws_credentials_block_name": "c", "requires": "prefect-aws"}
    assert {**upload, "launcher": None} == {**given_to_steps, "launcher": None}
    steps = cli.json("work-pool", "inspect", "etl")["storage_configuration"]
    assert list(steps["bundle_upload_step"]) == ["prefect_aws.experimental.bundles.upload"]
    assert list(steps["bundle_execution_step"]) == ["prefect_aws.experimental.bundles.execute"]
    cli.ok("work-pool", "storage", "configure", "gcs", "etl", "--bucket", "b")  # with what the environment has
    found = cli.json("work-pool", "storage", "inspect", "etl")
    assert found == {
        "type": "GCS",
        **{side: {"bucket": "b", "requires": "prefect-gcp"} for side in ("upload", "execution")},
    }
    assert "prefect_gcp.experimental.bundles.upload" in cli.ok("work-pool", "storage", "inspect", "etl")
    nowhere = ("--bucket", "b", "--gcp-credentials-block-name", "nope")
    assert "no block 'gcp-credentials/nope'" in cli.fails("work-pool", "storage", "configure", "gcs", "etl", *nowhere)
    assert "--bucket is needed" in cli.fails("work-pool", "storage", "configure", "gcs", "etl", status=2)
    missing = ("work-pool", "storage", "configure", "azure-blob-storage", "nobody", "--container", "c")
    assert "not found" in cli.fails(*missing, "--azure-blob-storage-credentials-block-name", "d")


def test_queues(cli: Cli) -> None:
    cli.ok("work-pool", "create", "etl")
    cli.ok("work-queue", "create", "urgent", "--pool", "etl", "--limit", "2", "--priority", "1")
    assert "already" in cli.fails("work-queue", "create", "urgent", "--pool", "etl")
    assert "not found" in cli.fails("work-queue", "create", "urgent", "--pool", "nobody")
    assert {queue["name"] for queue in cli.json("work-queues", "ls", "--pool", "etl")} == {"default", "urgent"}
    assert [queue["name"] for queue in cli.json("work-queue", "ls", "--match", "urg")] == ["urgent"]
    queue = cli.json("work-queue", "inspect", "urgent")  # there is only one of the name
    assert (queue["priority"], queue["concurrency_limit"]) == (1, 2)
    assert cli.json("work-queue", "inspect", queue["id"])["name"] == "urgent"
    cli.ok("work-queue", "pause", "urgent", "--pool", "etl")
    assert cli.json("work-queue", "inspect", "urgent", "-p", "etl")["is_paused"] is True
    cli.ok("work-queue", "resume", "urgent")
    cli.ok("work-queue", "set-concurrency-limit", "urgent", "5")
    assert "0 of 5 slots" in cli.ok("work-queue", "slots", "urgent")
    cli.ok("work-queue", "clear-concurrency-limit", "urgent")
    assert "no runs that are due" in cli.ok("work-queue", "read-runs", "urgent")
    assert "No runs are due" in cli.ok("work-queue", "preview", "urgent")
    assert "Healthy" in cli.ok("work-queue", "inspect", "urgent")
    cli.ok("work-pool", "create", "other")
    assert "Say which with --pool" in cli.fails("work-queue", "inspect", "default")
    cli.ok("work-queue", "delete", "urgent")
    assert "not found" in cli.fails("work-queue", "inspect", "urgent")


def test_runs_that_are_due_soon(cli: Cli, deployed: Make) -> None:
    cli.ok("work-pool", "create", "etl")
    id = deployed("etl", "nightly", work_pool_name="etl")
    cli.ok("deployment", "run", "--id", id)
    assert len(cli.json("work-pool", "preview", "etl")) == 1
    assert len(cli.json("work-queue", "preview", "default", "--pool", "etl")) == 1
    assert "Scheduled" in cli.ok("work-queue", "read-runs", "default", "--pool", "etl")
    # what has no room now is due all the same
    cli.ok("work-pool", "set-concurrency-limit", "etl", "1")
    cli.ok("deployment", "run", "--id", id, "--start-in", "5 minutes")
    cli.ok("deployment", "run", "--id", id, "--start-in", "90 minutes")
    for command in (("work-pool", "preview", "etl"), ("work-queue", "preview", "default", "--pool", "etl")):
        assert [run["state_name"] for run in cli.json(*command)] == ["Scheduled"] * 2
        due = [run["next_scheduled_start_time"] for run in cli.json(*command, "--hours", "2")]
        assert len(due) == 3 and due == sorted(due)


def test_workers_that_cannot_start(cli: Cli, tmp_path: Path) -> None:
    assert "--pool NAME" in cli.fails("worker", "start", status=2)
    cli.ok("work-pool", "create", "etl")
    assert "cannot work for it" in cli.fails("worker", "start", "--pool", "etl", "--type", "docker")
    assert "1 or more" in cli.fails("worker", "start", "--pool", "etl", "--limit", "0", status=2)
    nobody = ("worker", "start", "--pool", "nobody")
    assert "There is no work pool" in cli.fails(*nobody, "--no-create-pool-if-not-found")
    assert "no workers of type 'moon'" in cli.fails(*nobody, "--type", "moon")
    never = cli.fails(*nobody, "--type", "modal", "--install-policy", "never")
    assert "pip install prefect-modal" in never
    assert "cannot be read" in cli.fails("worker", "start", "--pool", "p", "--base-job-template", str(tmp_path / "no"))
    (tmp_path / "bad").write_text("{")
    assert "is not JSON" in cli.fails("worker", "start", "--pool", "p", "--base-job-template", str(tmp_path / "bad"))


@flow
def sums(x: int = 1) -> int:
    return x + 1


def made(state: Any) -> str:
    context._process.clear()  # the settings are those of the commands
    with get_client(sync_client=True) as client:
        return str(client.create_flow_run(sums, state=state, parameters={"x": 2}).id)


def test_cancelling(cli: Cli) -> None:
    running = made(Running())
    assert "will be cancelled" in cli.ok("flow-run", "cancel", running)
    assert cli.json("flow-run", "inspect", running)["state_name"] == "Cancelling"
    assert "could not be cancelled" in cli.fails("flow-run", "cancel", made(Completed()))
    assert "not found" in cli.fails("flow-run", "cancel", "nobody")


def test_watching(cli: Cli) -> None:
    assert "Completed" in cli.ok("flow-run", "watch", made(Completed()))
    status, out, err = cli.run("flow-run", "watch", made(Failed(message="it fails")))
    assert status == 1 and "it fails" in err and "Failed" in out
    status, _, err = cli.run("flow-run", "watch", made(Running()), "--timeout", "0.1")
    assert status == 1 and "still" in err


def test_retrying(cli: Cli, tmp_path: Path, deployed: Make) -> None:
    assert "has not ended" in cli.fails("flow-run", "retry", made(Running()))
    failed = made(Failed())
    assert "--entrypoint" in cli.fails("flow-run", "retry", failed)
    file = tmp_path / "flows.py"
    file.write_text("from prefect import flow\n@flow\ndef sums(x: int = 1): return x + 1\n")
    program = [sys.executable, "-m", "prefect", "flow-run", "retry", failed, "--entrypoint", f"{file}:sums"]
    subprocess.run(program, check=True, capture_output=True, timeout=60)
    assert cli.json("flow-run", "inspect", failed)["state_name"] == "Completed"
    cli.ok("deployment", "run", "--id", deployed("etl", "nightly"))
    [run] = cli.json("flow-run", "ls", "--flow-name", "etl")
    body = json.dumps({"state": {"type": "FAILED"}, "force": True})
    cli.ok("api", "POST", f"/flow_runs/{run['id']}/set_state", "--data", body)
    assert "scheduled again" in cli.ok("flow-run", "retry", run["id"])
    assert cli.json("flow-run", "inspect", run["id"])["state_type"] == "SCHEDULED"


def test_executing(cli: Cli, tmp_path: Path) -> None:
    for arguments, env_id in (([], None), (["no-id"], None)):
        program = [sys.executable, "-m", "prefect", "flow-run", "execute", *arguments]
        done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2 and "FLOW_RUN_ID" in done.stderr, env_id
    run = made(Pending())
    done = subprocess.run(
        [sys.executable, "-m", "prefect.engine", run], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    found = cli.json("flow-run", "inspect", run)
    assert found["state_name"] == "Crashed" and "deployment" in found["state"]["message"]


def test_commands_of_the_shell(cli: Cli) -> None:
    program = [sys.executable, "-m", "prefect", "shell"]
    done = subprocess.run(
        [*program, "watch", "echo said; echo complained >&2; exit 3", "--flow-name", "sh", "--tag", "t"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "exit code 3: complained" in done.stderr
    [run] = cli.json("flow-run", "ls", "--flow-name", "sh")
    assert run["state_name"] == "Failed" and run["tags"] == ["t"]
    lines = [log["message"] for log in cli.json("flow-run", "logs", run["id"])]
    assert "said" in lines and "complained" in lines
    served = [*program, "serve", "echo served", "--flow-name", "served", "--run-once"]
    subprocess.run(served, capture_output=True, timeout=90, check=True)
    [run] = cli.json("flow-run", "ls", "--flow-name", "served")
    assert run["state_name"] == "Completed"


def test_serving_a_flow(local_cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "flows.py"
    file.write_text("from prefect import flow\n@flow\ndef sums(x: int = 1): return x + 1\n")
    serve = ("flow", "serve", f"{file}:sums", "--name", "d")
    assert "one schedule" in local_cli.fails(*serve, "--cron", "* * * * *", "--interval", "5", status=2)
    assert "--anchor-date" in local_cli.fails(*serve, "--anchor-date", "2026-01-01", status=2)
    assert "--timezone" in local_cli.fails(*serve, "--timezone", "Europe/Berlin", status=2)
    assert "schedule cannot be used" in local_cli.fails(*serve, "--cron", "nonsense")
    assert "no file" in local_cli.fails("flow", "serve", "nothing.py:f", "--name", "d")
