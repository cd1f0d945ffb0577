from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from pydantic import BaseModel, SecretStr

from prefect._names import _ADJECTIVES, _ANIMALS
from prefect.client.schemas.actions import BlockTypeUpdate, DeploymentCreate, DeploymentFlowRunCreate, LogCreate
from prefect.client.schemas.objects import (
    BlockDocument,
    FlowRunInput,
    FlowRunPolicy,
    RunType,
    StateDetails,
    WorkPool,
    WorkPoolStatus,
    WorkQueueHealthPolicy,
    Workspace,
    data_discriminator,
)
from prefect.client.schemas.worker_channel import (
    WORKER_CHANNEL_CLOSE_POLICIES,
    WorkerChannelCloseReason,
    WorkerChannelProtocolError,
    select_worker_channel_version,
)
from prefect.settings import PREFECT_CLOUD_API_URL, temporary_settings
from prefect.utilities.names import generate_slug, obfuscate, obfuscate_string

ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


def test_secrets_of_a_block_are_shown_only_when_asked_for():
    document = BlockDocument(
        name="n", block_schema_id=ID, block_type_id=ID, data={"key": SecretStr("hush"), "list": [SecretStr("hush")]}
    )
    assert "hush" not in document.model_dump_json() and "hush" not in repr(document.model_dump())
    shown = document.model_dump(mode="json", context={"include_secrets": True})
    assert shown["data"] == {"key": "hush", "list": ["hush"]}


def test_kinds_of_work_pool():
    pool = WorkPool(name="p", type="prefect:managed", default_queue_id=ID)
    assert pool.is_managed_pool and not pool.is_push_pool
    assert WorkPool(name="p", type="ecs:push", default_queue_id=ID).is_push_pool
    with pytest.raises(ValueError, match="default_queue_id"):
        WorkPool(name="p", type="process", default_queue_id=None)
    assert WorkPoolStatus.NOT_READY.display_name == "Not ready"


def test_health_of_a_queue():
    policy = WorkQueueHealthPolicy()
    now = datetime.now(UTC)
    assert policy.evaluate_health_status(0, now)
    assert not policy.evaluate_health_status(1, now)
    assert not policy.evaluate_health_status(0, now - timedelta(hours=1))
    assert not policy.evaluate_health_status(0, None)
    anything = WorkQueueHealthPolicy(maximum_late_runs=None, maximum_seconds_since_last_polled=None)
    assert anything.evaluate_health_status(99, None)


def test_workspace_urls_follow_the_settings():
    workspace = Workspace(
        account_id=ID,
        account_name="A",
        account_handle="a",
        workspace_id=ID,
        workspace_name="W",
        workspace_description="",
        workspace_handle="w",
    )
    assert workspace.handle == "a/w"
    with temporary_settings({PREFECT_CLOUD_API_URL: "https://api.example.com/api"}):
        assert workspace.api_url() == f"https://api.example.com/api/accounts/{ID}/workspaces/{ID}"
    assert len({workspace, workspace.model_copy()}) == 1


def test_parameters_of_a_deployments_run_become_plain():
    class Model(BaseModel):
        when: datetime

    made = DeploymentFlowRunCreate(parameters={"m": Model(when=datetime(2024, 1, 1)), "span": timedelta(seconds=3)})
    assert made.parameters["m"] == {"when": "2024-01-01T00:00:00"}
    assert made.model_dump(mode="json")["parameters"]["span"] == 3.0


def test_small_things():
    assert FlowRunInput(flow_run_id=ID, key="k", value='{"a":1}').decoded_value == {"a": 1}
    assert FlowRunPolicy(max_retries=1, retry_delay_seconds=1.5).retry_delay == 2
    assert BlockTypeUpdate.updatable_fields() == {"logo_url", "documentation_url", "description", "code_example"}
    assert DeploymentCreate(name="d", flow_id=ID, tags=[1, "a"]).tags == ["1", "a"]
    assert data_discriminator({"storage_key": "k"}) == "ResultRecordMetadata"
    assert data_discriminator({"a": 1}) == data_discriminator(None) == "Any"
    log = LogCreate(name="l", level=10, message="m", timestamp=datetime.now(UTC))
    assert "worker_id" not in log.model_dump(mode="json")
    assert StateDetails(flow_run_id=ID).to_run_result(RunType.FLOW_RUN).id == ID
    assert str(RunType.FLOW_RUN) == "RunType.FLOW_RUN" and RunType.FLOW_RUN == "flow_run"


def test_worker_channel_versions():
    assert select_worker_channel_version(["x", "work_pool_worker_channel.v1"]) == "work_pool_worker_channel.v1"
    with pytest.raises(WorkerChannelProtocolError) as raised:
        select_worker_channel_version([])
    policy = WORKER_CHANNEL_CLOSE_POLICIES[raised.value.close_reason]
    assert policy.terminal and policy.websocket_code == 1008
    assert set(WORKER_CHANNEL_CLOSE_POLICIES) == set(WorkerChannelCloseReason)


def test_names():
    assert min(len(set(_ADJECTIVES)), len(set(_ANIMALS))) > 250
    for count in (1, 2, 3):
        words = generate_slug(count).split("-")
        assert len(words) == count and words[-1] in _ANIMALS and set(words[:-1]) <= set(_ADJECTIVES)
    assert len({generate_slug() for _ in range(200)}) > 150
    with pytest.raises(ValueError, match="at least one word"):
        generate_slug(0)
    assert obfuscate_string("abcdefghijkl", show_tail=True) == "******kl"
    assert obfuscate(SecretStr("abcdefghijkl"), show_tail=True) == "******kl"
    assert obfuscate_string("short", show_tail=True) == obfuscate(3) == "********"
