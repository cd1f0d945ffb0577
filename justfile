# The few commands one needs. `just` lists them; `make` knows the same ones.

[private]
default:
    @just --list

# Install everything that development needs, as locked
setup:
    uv sync --locked

# Run the tests; arguments go to pytest
test *args="-n 2":
    uv run pytest {{args}}

# Put the sources in order: formatting, sorted imports, what can be fixed by itself
fix:
    uv run ruff check --fix .
    uv run ruff format .

# Check the types
types:
    uv run basedpyright

# Check that imports respect the layers
layers:
    uv run lint-imports

# Write generated files anew
generate:
    uv run python -m prefect._store.schema --write
    uv run python -m prefect.client._methods --write
    uv run python -m prefect._operations --write

# Measure speed and memory
bench *args:
    uv run benchmarks/run.py {{args}}

# Everything that must hold before a change is merged
check:
    .ci/run
