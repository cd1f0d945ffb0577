"""The same payloads are taken and refused as by the reference implementation, and make the same values."""

import importlib.util
import json
from pathlib import Path

import pytest

_here = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("schema_samples", _here / "samples.py")
samples = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(samples)
FACTS = json.loads((_here / "peer_facts.json").read_text())

# what is different on purpose, by (model, payload as JSON)
STRICTER = {
    # a schedule whose moments are drawn anew each time it is asked cannot be kept
    ("CronSchedule", '{"cron": "r(0-5) * * * *"}'): {"error": ["cron"]},
    # RFC 5545 asks for an interval of at least 1; 0 would never end
    ("RRuleSchedule", '{"rrule": "FREQ=DAILY;INTERVAL=0"}'): {"error": ["rrule"]},
    ("RRuleSchedule", '{"rrule": "FREQ=DAILY;INTERVAL=-1"}'): {"error": ["rrule"]},
    # a validation error rather than a TypeError
    ("RRuleSchedule", '{"rrule": "INTERVAL=2"}'): {"error": ["rrule"]},
    # a block cannot hold itself
    (
        "BlockDocumentReferenceCreate",
        json.dumps(
            {
                "parent_block_document_id": samples.U,
                "reference_block_document_id": samples.U,
                "name": "n",
                "id": samples.U,
            }
        ),
    ): {"error": [""]},
}
# a mapping is not taken for a reference to a stored result unless it names one
VALUE_KEPT = {"StateCreate"}
# a state is written once and never changed: its timestamp says all there is to say
LEFT_OUT = {".ok.state.created", ".ok.state.updated"}


def differences(want, got, path=""):
    """Fields may be added, as long as they say nothing by default."""
    if isinstance(want, dict) and isinstance(got, dict):
        for name, value in want.items():
            if name in got:
                yield from differences(value, got[name], f"{path}.{name}")
            elif f"{path}.{name}" not in LEFT_OUT:
                yield f"{path}.{name} is missing"
        for name in got.keys() - want.keys():
            if got[name] not in (None, "and_"):
                yield f"{path}.{name} is {got[name]!r}, unknown to the reference"
    elif isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        for index, (left, right) in enumerate(zip(want, got, strict=True)):
            yield from differences(left, right, f"{path}[{index}]")
    elif want != got:
        yield f"{path} is {got!r}, not {want!r}"


@pytest.mark.parametrize(("module", "name"), samples.SAMPLES, ids=lambda part: part)
def test_payloads_are_answered_like_the_reference(module, name):
    for payload, want in zip(samples.SAMPLES[module, name], FACTS[samples.key(module, name)], strict=True):
        want = STRICTER.get((name, json.dumps(payload)), want)
        if name in VALUE_KEPT and payload.get("data"):
            want["ok"]["data"] = payload["data"]
        found = list(differences(want, samples.describe(module, name, payload)))
        assert not found, f"{name}({json.dumps(payload)[:200]}): {found}"
