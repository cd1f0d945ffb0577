"""Where an answer of ours is unlike the fact on purpose.

Under each row of `tests/server/DIFFERENCES.md`, which says why, the steps where it shows, with exactly what is unlike: an entry
that is no longer true fails as much as a difference that is not here.
"""

from __future__ import annotations

Steps = dict[tuple[str, str], list[str]]
"""What is unlike, by scenario and step."""

DIFFERENCES: dict[str, Steps] = {
    "an action of an automation without a `type`": {
        ("triggers_and_actions", "POST /automations/ #28"): ["201, here 422"],
    },
    "what refers to something that is not there: a block to a schema, a deployment to a flow": {
        ("block_documents", "POST /block_documents/ #5"): ["409, here 404"],
        ("deployments", "POST /deployments/ #4"): ["409, here 404"],
    },
    "`start_time` of a run that ends without having run": {
        ("dashboards", "POST /ui/task_runs/dashboard/counts"): ["[0]: 2, here 0", "[1]: 1, here 0"],
        ("flow_runs", "POST /flow_runs/ #4"): ['.start_time: "<now>", here null'],
        ("flow_runs_found", "POST /flow_runs/filter #23"): [
            ": 3 items, here 4",
            "[1]: 'cq-d', here 'cq-c'",
            "[2]: 'cq-e', here 'cq-d'",
        ],
        ("flow_runs_found", "POST /flow_runs/filter #24"): [": 2 items, here 1"],
        ("task_runs_found", "POST /task_runs/filter #10"): [": 2 items, here 3", "[1]: 'cw-c', here 'cw-b'"],
        ("task_runs_found", "POST /task_runs/count #10"): [": 2, here 3"],
        ("task_runs_found", "POST /task_runs/filter #11"): [": 2 items, here 1"],
        ("task_runs_found", "POST /task_runs/count #11"): [": 2, here 1"],
    },
    "`POST /deployments/` with a name that cannot be part of an address; the key of an input like that": {
        ("deployments", "POST /deployments/ #5"): ["500, here 422"],
        ("inputs_of_flow_runs", "POST /flow_runs/*/input #5"): ["500, here 422"],
    },
    "`PATCH /deployments/{id}` with `job_variables` that are empty": {
        ("deployments", "GET /deployments/* #2"): [".job_variables.env: missing"],
    },
    "a filter of deployments by `concurrency_limit`": {
        ("deployments_found", "POST /deployments/filter #13"): [": 3 items, here 1", "[0]: 'dg-a', here 'dg-b'"],
        ("deployments_found", "POST /deployments/count #13"): [": 3, here 1"],
        ("deployments_found", "POST /deployments/filter #14"): [": 3 items, here 0"],
        ("deployments_found", "POST /deployments/count #14"): [": 3, here 0"],
        ("deployments_found", "POST /deployments/filter #15"): [": 3 items, here 2", "[1]: 'dg-b', here 'dg-c'"],
        ("deployments_found", "POST /deployments/count #15"): [": 3, here 2"],
    },
    "`%`, `_` and a backslash in a search for words": {
        ("words_in_logs", "POST /logs/filter #45"): [
            ": 15 items, here 1",
            "[0][0]: 'alpha beta', here '100% under_score'",
        ],
        ("words_in_logs", "POST /logs/filter #46"): [
            ": 15 items, here 1",
            "[0][0]: 'alpha beta', here '100% under_score'",
        ],
        ("words_in_logs", "POST /logs/filter #47"): [": 2 items, here 1"],
        ("words_in_logs", "POST /logs/filter #49"): [": 0 items, here 1"],
        ("words_in_logs", "POST /logs/filter #50"): [": 0 items, here 1"],
        ("words_in_events", "POST /events/filter #46"): [
            ".events: 20 items, here 1",
            ".events[0]: 35, here 5",
            ".total: 20, here 1",
        ],
        ("words_in_events", "POST /events/filter #47"): [
            ".events: 20 items, here 1",
            ".events[0]: 35, here 5",
            ".total: 20, here 1",
        ],
        ("words_in_events", "POST /events/filter #48"): [
            ".events: 2 items, here 1",
            ".events[0]: 6, here 5",
            ".total: 2, here 1",
        ],
        ("words_in_events", "POST /events/filter #50"): [".events: 0 items, here 1", ".total: 0, here 1"],
        ("words_in_events", "POST /events/filter #51"): [".events: 0 items, here 1", ".total: 0, here 1"],
    },
    "a quote in a search for words in events": {
        ("words_in_events", "POST /events/filter #52"): [".events: 0 items, here 1", ".total: 0, here 1"],
        ("words_in_events", "POST /events/filter #53"): [".events: 0 items, here 1", ".total: 0, here 1"],
    },
    "`related` in the filter of `/events/out`": {
        ("events_that_come_and_match", "COLLECT out 8"): [
            ": 10 items, here 4",
            "[0]: 1, here 2",
            "[1]: 2, here 6",
            "[2]: 3, here 7",
            "[3]: 4, here 99",
        ],
        ("events_that_come_and_match", "COLLECT out 9"): [
            ": 10 items, here 4",
            "[0]: 1, here 2",
            "[1]: 2, here 5",
            "[2]: 3, here 7",
            "[3]: 4, here 99",
        ],
        ("events_that_come_and_match", "COLLECT out 10"): [
            ": 10 items, here 3",
            "[0]: 1, here 2",
            "[1]: 2, here 7",
            "[2]: 3, here 99",
        ],
        ("events_that_come_and_match", "COLLECT out 11"): [
            ": 10 items, here 4",
            "[0]: 1, here 2",
            "[1]: 2, here 6",
            "[2]: 3, here 7",
            "[3]: 4, here 99",
        ],
        ("events_that_come_and_match", "COLLECT out 12"): [
            ": 10 items, here 2",
            "[0]: 1, here 7",
            "[1]: 2, here 99",
        ],
    },
    "`or_` in the filter of `/logs/out`": {
        ("logs_that_come", "COLLECT out 7"): [": 1 items, here 3", "[0]: 'end', here 'two'"],
    },
    "`created` and `updated` of a line of `/logs/out`": {
        ("logs_that_come", "RECEIVE whole #2"): [
            '.log.created: null, here "<now>"',
            '.log.updated: null, here "<now>"',
        ],
    },
    "a message over a websocket that does not fit": {
        ("task_runs_that_are_to_run", "END other"): ["1006, here 4001"],
        **{
            ("what_websockets_refuse", f"END {name}"): [f"1006, here {code}"]
            for name, code in {
                "stranger 2": 1008,
                "stranger 3": 1008,
                "stranger 7": 1008,
                "events out 2": 1002,
                "events out 3": 1002,
                "events out 4": 1002,
                "logs out 7": 1002,
                "logs out 8": 1002,
                "logs out 9": 1002,
                "task_runs subscriptions scheduled 14": 1002,
            }.items()
        },
    },
    "a message to `/events/in` that is no event": {
        ("what_websockets_refuse", "POST /events/filter"): [": 1 items, here 3"],
    },
    "spans of several units in which events are counted": {
        ("counts_of_events", "POST /events/count-by/time"): [
            "[0].label: '2024-02-29T00:00:00+00:00', here '2024-03-01T00:00:00+00:00'",
            "[0].start_time: '2024-02-29T00:00:00+00:00', here '2024-03-01T00:00:00+00:00'",
            "[0].end_time: '2024-03-01T23:59:59.999999+00:00', here '2024-03-02T23:59:59.999999+00:00'",
            "[1].label: '2024-03-02T00:00:00+00:00', here '2024-03-03T00:00:00+00:00'",
            "[1].start_time: '2024-03-02T00:00:00+00:00', here '2024-03-03T00:00:00+00:00'",
            "[1].end_time: '2024-03-03T23:59:59.999999+00:00', here '2024-03-04T23:59:59.999999+00:00'",
            "[2].label: '2024-03-04T00:00:00+00:00', here '2024-03-05T00:00:00+00:00'",
            "[2].start_time: '2024-03-04T00:00:00+00:00', here '2024-03-05T00:00:00+00:00'",
            "[2].end_time: '2024-03-05T23:59:59.999999+00:00', here '2024-03-06T23:59:59.999999+00:00'",
            "[3].label: '2024-03-06T00:00:00+00:00', here '2024-03-07T00:00:00+00:00'",
            "[3].start_time: '2024-03-06T00:00:00+00:00', here '2024-03-07T00:00:00+00:00'",
            "[3].end_time: '2024-03-07T23:59:59.999999+00:00', here '2024-03-08T23:59:59.999999+00:00'",
        ],
    },
    "`GET /flow_runs/{id}/graph` of a run with task runs": {
        ("graphs", "GET /flow_runs/*/graph"): ["500, here 200"],
    },
    "names in the answer to `POST /concurrency_limits/decrement`": {
        ("limits_on_tags", "POST /concurrency_limits/decrement"): ["[0].name: 'tag:lt-tag', here 'lt-tag'"],
    },
    "`POST /flow_runs/{id}/resume` of a run that is not there": {
        ("pausing", "POST /flow_runs/*/resume #3"): ["500, here 404"],
    },
    "RUNNING with the `cache_key` of a finished task run": {
        ("a_result_in_the_cache", "POST /task_runs/*/set_state #2"): [
            ".state.type: 'COMPLETED', here 'RUNNING'",
            ".state.name: 'Cached', here 'Running'",
            '.state.data: {"result": 1}, here null',
            ".status: 'REJECT', here 'ACCEPT'",
            ".details.type: 'reject_details', here 'accept_details'",
            ".details.reason: missing",
        ],
    },
    "a filter of flow runs by `work_queue_name`": {
        ("flow_runs_found", "POST /flow_runs/filter #21"): [": 0 items, here 1"],
        ("flow_runs_found", "POST /flow_runs/filter #22"): [": 5 items, here 4"],
    },
    "a filter of flow runs by the time of their start": {
        ("flow_runs_found", "POST /flow_runs/filter #25"): [": 5 items, here 1"],
    },
    "`not_any_` in a filter by idempotency key": {
        ("flow_runs_found", "POST /flow_runs/filter #36"): [": 0 items, here 4"],
    },
    "`any_` beside `is_null_` with `or_` in a filter of task runs by flow run": {
        ("task_runs_found", "POST /task_runs/filter #5"): [": 1 items, here 4", "[0]: 'cw-alone', here 'cw-a'"],
        ("task_runs_found", "POST /task_runs/count #5"): [": 1, here 4"],
    },
    "a filter that a route does not know (`work_pools` of task runs)": {
        ("task_runs_found", "POST /task_runs/filter #28"): ["200, here 422"],
    },
    "`DELETE` of the default queue of a pool": {
        ("work_pool_queues", "DELETE /work_pools/wq-pool/queues/default"): ["500, here 409"],
    },
    "`name`, `command` and `working_dir` of a pool for processes": {
        ("collections", "GET /collections/views/aggregate-worker-metadata"): [
            '.prefect.process.kinds.command: "string", here null',
            '.prefect.process.kinds.name: "string", here null',
            '.prefect.process.kinds.working_dir: "string", here null',
        ],
    },
}

NOT_EMBEDDED: dict[str, Steps] = {
    "the settings of a server say how large a page may be; there is none here": {
        ("flows_found", "POST /flows/filter #9"): ["422, here 200"],
        ("history_of_flow_runs", "POST /flow_runs/filter"): ["422, here 200"],
        ("history_of_task_runs", "POST /task_runs/filter"): ["422, here 200"],
    },
    "clients leave out what they have no wish about, or a server does it for them": {
        ("flow_runs_found", "POST /flow_runs/filter #59"): ["200, here 422"],
    },
}
"""Where the operations called in the same process answer unlike a server, by reason."""
