"""What the Prefect cheat-sheet says outside its Python snippets, line by line, and what proves it here.

A proof is the name of a test of `test_cheatsheet_commands.py`, or `file.py::test` for one elsewhere, or several of them.
What nothing can be run for is told to be advice, or says why.
"""

ADVICE = "advice: there is nothing to run"
NOT_YET = "docs/differences.md says that it is to come"
HISTORY = "about versions before this one"
PLACES = "an address on the web"
NO_TEST = {ADVICE, NOT_YET, HISTORY, PLACES}

COMMANDS = {
    "pip install prefect": "test_what_is_installed",
    "uv pip install prefect": "test_what_is_installed",
    'pip install "prefect[dev]"  # Development tools': "test_what_is_installed",
    'pip install "prefect[docker]"  # Docker support': "test_what_is_installed",
    'pip install "prefect[kubernetes]"  # K8s support': "test_what_is_installed",
    "python -m pip install prefect": "test_what_is_installed",
    "python -m prefect version  # Verify installation": "test_the_installation_is_verified",
    "PREFECT_API_URL=http://localhost:4200/api  # Prefect server URL": "test_variables_of_the_environment",
    "PREFECT_LOGGING_LEVEL=INFO                  # Log level (DEBUG|INFO|WARNING|ERROR)": (
        "test_variables_of_the_environment test_levels_of_the_log"
    ),
    "PREFECT_LOGGING_COLORS=true                 # Colored logs": (
        "test_variables_of_the_environment logging/test_log_handlers.py::test_colours_on_terminals_only"
    ),
    "PREFECT_HOME=~/.prefect                     # Configuration directory": "test_variables_of_the_environment",
    "prefect server start  # Start local server": "test_a_server_is_started_and_found",
    "export PREFECT_API_URL=http://localhost:4200/api": "test_a_server_is_started_and_found",
    "prefect config view  # Verify settings": "test_a_server_is_started_and_found",
    "prefect worker start --pool default-pool --type process": "test_a_worker_takes_what_is_deployed",
    "prefect work-pool ls": "test_a_worker_takes_what_is_deployed",
}
"""The lines to be typed."""

SENTENCES = {
    "- Python 3.9+": "test_what_is_installed",
    "- SQLite (included) or PostgreSQL for production": "store/test_schema.py::test_postgresql_migrations_give_the_ready_schema",
    "- 2GB+ RAM recommended": ADVICE,
    "| `@flow` | Defines a workflow container | v3: No automatic failure on task errors |": (
        "docs/test_cheatsheet.py::test_task_failures_do_not_fail_flows"
    ),
    "| `@task` | Defines a unit of work with retries/caching | v3: `submit()` is always synchronous |": (
        "docs/test_cheatsheet.py::test_quick_start behaviour/test_caching.py::test_a_policy_or_key_function_turns_persistence_on"
    ),
    "| `Flow.serve()` | Creates a deployment for scheduled/triggered runs | v3: Replaces `flow.register()` |": (
        "test_a_flow_is_served_by_schedule_and_trigger"
    ),
    "| `flow.deploy()` | Deploy to work pools (Docker/K8s/Cloud) | v3: Enhanced infrastructure options |": (
        "test_a_worker_takes_what_is_deployed test_other_infrastructure"
    ),
    "| `Task.submit()` | Submit task for concurrent execution | v3: Always returns synchronously |": (
        "behaviour/test_tasks.py::test_submit_gives_a_future_with_state_and_result"
    ),
    "| `Task.map()` | Map task over iterable inputs | v3: Improved performance |": (
        "behaviour/test_tasks.py::test_map_over_many_kinds_of_iterables"
    ),
    "| `get_run_logger()` | Access Prefect's logger within tasks/flows | Consistent across versions |": "test_levels_of_the_log",
    "| `State` | Represents execution state | v3: New state behavior model |": (
        "behaviour/test_flows.py::test_return_state_holds_the_run_id"
    ),
    "| `Block` | Secure storage for configurations | v2+: Replaces contexts |": "doors/test_blocks.py::test_a_secret_comes_back",
    "| `work_pool` | Infrastructure abstraction layer | v3: Replaces agents |": "test_a_worker_takes_what_is_deployed",
    "| `Variable` | Key-value storage for dynamic config | v3: Enhanced UI integration |": (
        "doors/test_variables.py::test_a_variable_has_what_it_was_given"
    ),
    "| `Artifact` | Store/visualize task outputs | v3: JSON artifact support |": (
        "doors/test_artifacts.py::test_a_table_is_kept_as_json"
    ),
    "- Use `task.submit()` for concurrent execution instead of sequential calls": (
        "behaviour/test_tasks.py::test_submitted_tasks_run_in_other_threads"
    ),
    "- Implement task caching with `cache_key_fn` for expensive operations": (
        "behaviour/test_caching.py::test_a_policy_or_key_function_turns_persistence_on"
    ),
    "- Leverage work pools for distributed execution": "test_a_worker_takes_what_is_deployed",
    "- Use `.map()` for parallel processing of collections": "behaviour/test_tasks.py::test_map_over_thousands",
    "- Enable `persist_result=True` only when needed (storage overhead)": "behaviour/test_results.py::test_who_persists",
    "- Store sensitive data in Blocks, never hardcode credentials": "doors/test_blocks.py::test_a_secret_comes_back",
    "- Use Prefect Cloud's RBAC for team environments": NOT_YET,
    "- Implement service accounts for production deployments": NOT_YET,
    "- Rotate API keys regularly via Variables": NOT_YET,
    "- Use environment-specific configurations": "test_variables_of_the_environment",
    "- Test flows with `flow.test()` context manager": "test_a_flow_is_tested",
    "- Mock external dependencies in tasks": "test_a_flow_is_tested",
    "- Use `prefect.testing.utilities` for test fixtures": "behaviour/test_misc.py::test_the_harness_isolates",
    "- Validate flow parameters with Pydantic models": "docs/test_cheatsheet.py::test_models_forbid_extra_fields",
    "- Test failure scenarios with `raise_on_failure=False`": "test_a_flow_is_tested",
    "- Enable `log_prints=True` on tasks for visibility": "behaviour/test_context_and_logs.py::test_log_prints",
    "- Use Artifacts to persist important outputs": "doors/test_artifacts.py::test_each_kind_is_kept_in_its_form",
    "- Set up Automations for failure notifications": "test_a_failure_is_notified",
    "- Monitor work queue health metrics": "test_the_health_of_a_work_queue",
    "- Implement custom metrics with events": (
        "docs/test_cheatsheet.py::test_the_automation_that_the_snippet_speaks_of"
    ),
    "- Task failures don't automatically fail flows unless they affect return values": (
        "docs/test_cheatsheet.py::test_task_failures_do_not_fail_flows"
    ),
    "- Use `raise_on_failure=True` or explicit state checks for v2-like behavior": "test_a_flow_is_tested",
    "- `task.submit()` is synchronous in v3 (unlike v2's async behavior)": (
        "behaviour/test_tasks.py::test_submit_gives_a_future_with_state_and_result"
    ),
    "- Mix async/sync carefully - Prefect handles both but consistency helps": (
        "behaviour/test_flows.py::test_sync_subflow_and_task_in_async_flow"
    ),
    "- Async flows run tasks concurrently by default": "behaviour/test_tasks.py::test_gather_runs_async_tasks_together",
    "- Flows are Python functions - leverage loops, conditionals freely": "docs/test_cheatsheet.py::test_quick_start",
    "- Avoid creating tasks inside loops unless using `.submit()` or `.map()`": ADVICE,
    "- Task decorators are evaluated at import time, not runtime": ADVICE,
    "- Results persist by default in v3 - manage storage carefully": (
        "behaviour/test_caching.py::test_nothing_is_cached_unless_results_are_persisted"
    ),
    "- Large data in parameters can impact performance": ADVICE,
    "- Use Blocks for data references rather than passing large objects": ADVICE,
    "- Work pools require compatible infrastructure": "test_other_infrastructure",
    "- Schedules use UTC by default - specify timezone explicitly": "test_time_zones_of_schedules",
    "- Flow parameters must be JSON-serializable": "test_parameters_that_are_not_json",
    "- v3 clients only work with v3 servers": "served/test_published.py::test_artifacts",
    "- v2 → v3 requires code review for state handling": HISTORY,
    "- Database migration required for self-hosted servers": "cli/test_cli_database.py::test_up_and_down",
}
"""The lines that claim something."""

OTHERS = {
    "Prefect is a modern workflow orchestration framework for Python that enables building,": ADVICE,
    "| Component | Purpose | Version Notes |": ADVICE,
    "| Version | Released | Breaking Changes | Migration Impact |": HISTORY,
    "| 3.0.0 |": HISTORY,
    "| 2.14.x |": HISTORY,
    "| 2.0.0 |": HISTORY,
    "| 1.x |": HISTORY,
    "|---": ADVICE,
    "**": ADVICE,
    "# Using ": ADVICE,
    "# With ": ADVICE,
    "# Or ": ADVICE,
    "- [": PLACES,
}
"""How lines begin that are headings, tables of the past, or addresses."""
