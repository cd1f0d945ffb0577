"""Searches for words in logs and events.

The published server answers them on PostgreSQL only, where SQLite is older than 3.44: these facts are recorded there.
"""

from __future__ import annotations

from typing import Any

from conformance.scenarios.making import flow, flow_run
from conformance.script import POST, YESTERDAY, Script, each

_QUERIES = (
    "beta", "BETA", "alpha delta", "beta -gamma", "beta !gamma", "-gamma", "!gamma -delta", "+beta", "+beta +gamma",
    "+beta gamma", "delta +beta", "+beta -gamma", "+beta alpha -gamma delta", '"alpha beta"', '"beta alpha"', '"ALPHA beta"',
    '-"alpha beta"', '+"alpha beta"', '+"gamma delta" alpha', '!"alpha beta" beta', '"alpha', '"alpha beta', 'alpha"', '""', '"" alpha',
    "", "   ", "-", "+", "!", "- alpha", "+ alpha", "--alpha", "+-alpha", "-+alpha", "!!alpha", "al", "lph", "bet gam", "my-word", "my -word",
    "a+b", "wow!", "100%", "%", "_", "under_score", "under.score", "back\\slash", "\\", '\\"said\\"', '"he \\"said\\""', "'quoted'",
    "it's", "line\nbreak", "alpha\tbeta", "alpha,beta", "alpha OR delta", "alpha AND beta", "alpha | beta", "(alpha)", "alph*", "ÄRGER", "ärger",
    '"  two  spaces "', "two  spaces", "emoji \U0001f600", "nothing at all", "-nothing", "+nothing beta", "x" * 200, "x" * 201,
)  # fmt: skip
"""What is searched for; `alpha` and so on are what is there."""

_TEXTS = (
    "alpha beta", "beta gamma", "gamma delta", "alpha", "my-word a+b wow!", "100% under_score", "underxscore", "back\\slash",
    'he "said" it\'s \'quoted\'', "line\nbreak", "Ärger", "two  spaces", "\U0001f600", "alpha,beta (alpha) a|b *",
)  # fmt: skip


def words_in_logs() -> Script:
    f = yield from flow("wl-flow")
    run = yield from flow_run(f["id"], "wl-run", "RUNNING")
    line = {"name": "wl.logger", "flow_run_id": run["id"], "level": 20}
    lines = [
        {**line, "message": text, "timestamp": f"2024-01-01T00:00:{number:02}Z"} for number, text in enumerate(_TEXTS)
    ]
    lines.append({**line, "name": "wl.other.zeta", "message": "of another logger", "timestamp": "2024-01-01T00:01:00Z"})
    yield POST, "/logs/", lines
    mine = {"flow_run_id": {"any_": [run["id"]]}}
    for query in (*_QUERIES, "zeta", "wl.logger", "-logger", "beta -wl.logger"):
        yield POST, "/logs/filter", {"logs": {**mine, "text": {"query": query}}}, each("message")
    text = {"query": "gamma"}
    yield POST, "/logs/filter", {"logs": {**mine, "text": text, "timestamp": {"before_": YESTERDAY}}}, each("message")
    yield POST, "/logs/filter", {"logs": {**mine, "text": text}, "sort": "TIMESTAMP_DESC", "limit": 1}, each("message")
    yield POST, "/logs/filter", {"logs": {**mine, "text": {}}}
    yield POST, "/logs/filter", {"logs": {**mine, "text": {"query": "a", "nope": 1}}}
    yield POST, "/logs/filter", {"logs": {**mine, "text": "alpha"}}


_SPAN = {"since": "2024-05-01T00:00:00Z", "until": "2024-05-02T00:00:00Z"}


def words_in_events() -> Script:
    def event(number: int, **more: Any) -> dict[str, Any]:
        return {
            "id": f"{number:08d}-7777-4777-8777-777777777777", "occurred": f"2024-05-01T00:00:{number:02}Z",
            "event": "xw.said", "resource": {"prefect.resource.id": "xw.thing"}, "related": [],
            "payload": {"n": number}, **more,
        }  # fmt: skip

    def numbers(answer: dict[str, Any]) -> dict[str, Any]:
        return {"events": [one["payload"]["n"] for one in answer["events"]], "total": answer["total"]}

    role = {"prefect.resource.id": "xw.flow.nu", "prefect.resource.role": "omicron"}
    sent = [event(number, payload={"n": number, "text": text}) for number, text in enumerate(_TEXTS)]
    sent += [
        event(30, event="xw.kappa"),
        event(31, resource={"prefect.resource.id": "xw.thing.lambda"}),
        event(32, resource={"prefect.resource.id": "xw.thing", "label-mu": "value-xi"}),
        event(33, related=[role]),
        event(34, related=[{**role, "prefect.resource.id": "xw.flow.pi", "label-rho": "value-sigma"}]),
        event(35, payload={"n": 35, "deep": {"key-tau": ["value-upsilon", 4711, True, None, {"x": "phi"}]}}),
    ]
    yield POST, "/events", sent
    mine = {"occurred": _SPAN, "event": {"prefix": ["xw."]}}
    all_there = {"filter": mine, "limit": 50}
    yield POST, "/events/filter", all_there, numbers, lambda answer: answer["total"] == len(sent)
    places = (
        "kappa", "lambda", "label-mu", "value-xi", "nu", "omicron", "pi", "label-rho", "value-sigma", "key-tau", "value-upsilon", "4711",
        "true", "null", "phi", "xw.thing", "-xw.thing", "xw.flow -omicron", "+xw.flow +pi", "prefect.resource.id", "prefect.resource.role",
        "deep", '"n"', '{"n"', "77777777", "2024", '"value-upsilon, 4711"', '"xw.kappa xw.thing"', '"thing lambda"',
    )  # fmt: skip
    for query in (*_QUERIES, *places):
        yield POST, "/events/filter", {"filter": {**mine, "text": {"query": query}}, "limit": 50}, numbers
    yield POST, "/events/count-by/event", {"filter": {**mine, "text": {"query": "beta kappa"}}}, each("value", "count")
    yield POST, "/events/filter", {"filter": {**mine, "text": {}}}
    yield POST, "/events/filter", {"filter": {**mine, "text": {"query": "a", "nope": 1}}}
