"""The clauses of filters, and the orders, are accepted by PostgreSQL (their meaning is tested on SQLite)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as dialect

from prefect._clock import now
from prefect._schemas import sorting
from prefect._schemas.filters.flow_runs import FlowRunFilter
from prefect._schemas.filters.flows import FlowFilter
from prefect._schemas.filters.logs import LogFilter
from prefect._schemas.filters.task_runs import TaskRunFilter
from prefect._store import queries
from prefect._store.schema import POSTGRESQL_SCRIPT, read_script
from prefect._store.tables import flow, flow_run, log, task_run

from .conftest import PostgreSQL

_ID = UUID(int=1)
_TIMES = {"before_": now(), "after_": now()}
_COMMON: dict[str, Any] = {
    "id": {"any_": [_ID]},
    "name": {"any_": ["it's"], "like_": "50%"},
    "tags": {"all_": ["a?b"], "is_null_": False},
    "state": {"type": {"any_": ["FAILED"]}, "name": {"any_": ["Failed"]}},
    "start_time": {**_TIMES, "is_null_": False},
}
_FLOW_RUNS = FlowRunFilter.model_validate(
    _COMMON
    | {
        "tags": {"any_": ["x"]},
        "idempotency_key": {"not_any_": ["k"]},
        "created_by": {"id_": [_ID], "type_": ["SCHEDULE"], "is_null_": False},
        "parent_flow_run_id": {"any_": [_ID]},
    }
)
_TASK_RUNS = TaskRunFilter.model_validate(
    _COMMON | {"subflow_runs": {"exists_": True}, "flow_run_id": {"operator": "or_", "any_": [_ID], "is_null_": True}}
)
_FLOWS = FlowFilter.model_validate({"name": {"like_": "x"}, "deployment": {"is_null_": True}})
_LOGS = LogFilter.model_validate(
    {
        "level": {"ge_": 1, "le_": 2},
        "timestamp": _TIMES,
        "text": {"query": "a +b% -c"},
        "task_run_id": {"is_null_": True},
    }
)


def _statements() -> list[sa.Select[Any]]:
    nouns: dict[str, Any] = {"flows": _FLOWS, "flow_runs": _FLOW_RUNS, "task_runs": _TASK_RUNS}
    found = [
        sa.select(flow).where(queries.where_flows(**nouns)),
        sa.select(flow_run).where(queries.where_flow_runs(**nouns)),
        sa.select(task_run).where(queries.where_task_runs(**nouns)),
        sa.select(log).where(queries.log_matches(_LOGS)),
    ]
    orders = {flow: queries.FLOW_ORDERS, log: queries.LOG_ORDERS}
    found += [sa.select(table).order_by(*order) for table, named in orders.items() for order in named.values()]
    pages = {flow_run: queries.FLOW_RUN_ORDERS, task_run: queries.TASK_RUN_ORDERS}
    for table, named in pages.items():
        for order in named.values():
            found += [sa.select(table).order_by(*order.clauses), sa.select(table.c.id).order_by(*order.of_present)]
    return found


def test_postgresql_accepts_the_queries(postgresql: PostgreSQL) -> None:
    def sql(statement: sa.Select[Any]) -> str:
        compiled = statement.compile(
            dialect=dialect.dialect(paramstyle="named"), compile_kwargs={"literal_binds": True}
        )
        return f"{compiled};\n"

    script = "".join(sql(statement) for statement in _statements())
    postgresql.database("queries", read_script(POSTGRESQL_SCRIPT) + script)


def test_every_sort_order_of_the_api_is_known() -> None:
    assert {sort.value for sort in sorting.FlowRunSort} == queries.FLOW_RUN_ORDERS.keys()
    assert {sort.value for sort in sorting.TaskRunSort} == queries.TASK_RUN_ORDERS.keys()
    assert {sort.value for sort in sorting.FlowSort} == queries.FLOW_ORDERS.keys()
    assert {sort.value for sort in sorting.LogSort} == queries.LOG_ORDERS.keys()
