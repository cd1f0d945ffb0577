"""Every wire type goes to JSON and back, whatever its fields hold."""

from datetime import datetime
from functools import cache
from importlib import import_module

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from prefect._schemas.json_schema import mismatches

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
MODULES = ("objects", "actions", "filters", "responses", "schedules", "worker_channel")


def models():
    found = {}
    for module in MODULES:
        door = import_module(f"prefect.client.schemas.{module}")
        for name in door.__all__:
            value = getattr(door, name)
            if isinstance(value, type) and issubclass(value, BaseModel):
                found[name] = value
    return found


MODELS = models()

TEXT = st.text(alphabet="abc-09", min_size=1, max_size=8)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
# optional fields that are null when left out, but may not be given as null; and one that blocks need
ALWAYS = {"name", "default_queue_id"}
# fields with rules that a JSON schema does not tell
SPECIAL = {
    "cron": st.sampled_from(["* * * * *", "0 9 * * mon-fri", "@daily", "0 0 L * *"]),
    "rrule": st.sampled_from(["FREQ=DAILY", "DTSTART:20240101T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO"]),
    "timezone": st.sampled_from(["UTC", "Europe/Paris", "America/New_York"]),
    "metadata_": st.none() | st.dictionaries(TEXT, TEXT, max_size=2),
    "retry_jitter_factor": st.none() | st.floats(0, 1),
    "max_scheduled_runs": st.none() | st.integers(1, 50),
    "requested_capabilities": st.just(["worker_heartbeat.v1", "work_pool_snapshot.v1"]),
    "interval": st.floats(0.001, 1e6).map(lambda seconds: f"PT{seconds:.3f}S"),
}
FORMATS = {
    "uuid": st.uuids().map(str),
    "date-time": st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(lambda moment: f"{moment.isoformat()}Z"),
    "duration": st.integers(0, 10**6).map(lambda seconds: f"PT{seconds}S"),
    "uri": st.just("https://example.com/a"),
    "ipvanynetwork": st.sampled_from(["10.0.0.0/8", "::/64"]),
}


def fitting(schema, root, name=""):
    """A strategy for values that fit a JSON schema."""
    if name in SPECIAL:
        return SPECIAL[name]
    if "$ref" in schema:
        return fitting(root["$defs"][schema["$ref"].rpartition("/")[2]], root, name)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return st.one_of([fitting(part, root, name) for part in schema[word]])
    kind = schema.get("type")
    if kind == "object":
        return _object(schema, root)
    if kind == "array":
        items = fitting(schema.get("items", {}), root)
        unique = schema.get("uniqueItems", False)
        return st.lists(items, min_size=schema.get("minItems", 0), max_size=3, unique=unique)
    if kind == "string":
        return FORMATS.get(schema.get("format"), TEXT)
    if kind == "integer":
        low = schema.get("exclusiveMinimum", schema.get("minimum", 0) - 1) + 1
        return st.integers(low, schema.get("maximum", 10**6))
    if kind == "number":
        return st.floats(max(schema.get("minimum", -1e6), -1e6), 1e6)
    return {"boolean": st.booleans(), "null": st.none()}.get(kind, ANYTHING)


def _object(schema, root):
    properties, required = schema.get("properties", {}), set(schema.get("required", ()))
    if not properties and schema.get("additionalProperties") is not False:
        inner = schema.get("additionalProperties", True)
        return st.dictionaries(TEXT, ANYTHING if inner is True else fitting(inner, root), max_size=2)
    given_ = {name: fitting(part, root, name) for name, part in properties.items()}
    must = {name: strategy for name, strategy in given_.items() if name in required or name in ALWAYS}
    may = {name: strategy for name, strategy in given_.items() if name not in must}
    return st.fixed_dictionaries(must, optional=may)


def mend(value):
    """Make drawn values obey the rules between fields that a JSON schema does not tell."""
    if isinstance(value, list):
        return [mend(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {name: mend(item) for name, item in value.items()}
    if "block_schema_id" in value and "name" in value and not value["name"]:
        value["name"] = "n"
    if value.get("parent_block_document_id") == value.get("reference_block_document_id"):
        value.pop("parent_block_document_id", None)
        value |= {"parent_block_document_id": ID} if "reference_block_document_id" in value else {}
    if "requested_capabilities" in value:
        value |= {"handled_cleanup_kinds": [], "max_cleanup_concurrency": 0}
    if "accepted_capabilities" in value:
        value["accepted_capabilities"] = ["worker_heartbeat.v1", "work_pool_snapshot.v1"]
        value |= {"rejected_capabilities": [], "effective_max_cleanup_concurrency": 0}
        value["initial_snapshot"]["reason"] = "initial"
    if "request_frame_id" in value:
        value |= {"status": "expired", "reason": "too late", "lease_expires_at": None}
    return value


@cache
def payloads(name):
    schema = MODELS[name].model_json_schema()
    return schema, fitting(schema, schema).map(mend)


@pytest.mark.parametrize("name", MODELS)
@given(data=st.data())
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
def test_json_round_trip(name, data):
    model = MODELS[name]
    schema, strategy = payloads(name)
    payload = data.draw(strategy)
    assert list(mismatches(payload, schema)) == []
    made = model.model_validate(payload)
    text = made.model_dump_json()
    again = model.model_validate_json(text)
    assert again == made


@pytest.mark.parametrize("name", MODELS)
def test_every_model_says_what_it_is(name):
    assert MODELS[name].__doc__ and "\n\n\n" not in MODELS[name].__doc__
    assert MODELS[name].__doc__ != BaseModel.__doc__
