import pickle
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from prefect.client.schemas.actions import LogCreate
from prefect.client.schemas.objects import FlowRun, Parameter, Variable

FLOW = "01890a5d-ac96-774b-bcce-b302099a8057"


def test_objects_ignore_fields_of_a_newer_version_and_requests_do_not():
    assert not hasattr(Variable(name="v", value=1, colour="red"), "colour")
    with pytest.raises(ValidationError, match="colour"):
        LogCreate(name="l", level=10, message="m", timestamp=datetime.now(UTC), colour="red")


def test_ids_are_in_the_order_in_which_they_were_made():
    ids = [Variable(name="v", value=1).id for _ in range(50)]
    assert ids == sorted(ids) and ids[0].version == 7


def test_equality_leaves_out_what_an_api_assigns():
    assert Variable(name="v", value=1) == Variable(name="v", value=1, created="2024-01-01")
    assert Variable(name="v", value=1) != Variable(name="v", value=2)
    assert Variable(name="v", value=1) != 1


def test_equality_of_flow_runs_leaves_out_what_grows_with_time():
    assert FlowRun(flow_id=FLOW, name="n", estimated_run_time=3) == FlowRun(flow_id=FLOW, name="n")


def test_reset_fields_renews_what_an_api_assigns():
    variable = Variable(name="v", value=1, created="2024-01-01", tags=["a"])
    fresh = variable.reset_fields()
    assert (fresh.name, fresh.tags, fresh.created) == ("v", ["a"], None)
    assert fresh.id != variable.id
    assert type(fresh) is Variable


def test_a_list_is_validated_item_by_item():
    assert [v.name for v in Variable.model_validate_list([{"name": "a", "value": 1}, {"name": "b", "value": 2}])] == [
        "a",
        "b",
    ]
    for wrong in ({"name": "a"}, ["text"], [{"name": "a"}]):
        with pytest.raises(ValidationError):
            Variable.model_validate_list(wrong)


def test_moments_are_aware_and_spans_are_seconds():
    run = FlowRun(flow_id=FLOW, start_time=datetime(2024, 1, 1), total_run_time=timedelta(seconds=90))
    assert run.start_time == datetime(2024, 1, 1, tzinfo=UTC)
    assert '"total_run_time":90.0' in run.model_dump_json()
    assert '"start_time":"2024-01-01T00:00:00Z"' in run.model_dump_json()


def test_models_can_be_pickled_and_frozen_ones_hashed():
    run = FlowRun(flow_id=FLOW)
    assert pickle.loads(pickle.dumps(run)) == run
    assert len({Parameter(name="a"), Parameter(name="a"), Parameter(name="b")}) == 2


def test_rich_shows_ids_as_text():
    shown = {name: value for name, value, _ in Variable(name="v", value=1).__rich_repr__()}
    assert isinstance(shown["id"], str) and shown["name"] == "v"
