# The few commands one needs; the justfile has the same ones with descriptions.
.PHONY: setup test fix types layers generate bench check

setup:    ; uv sync --locked
test:     ; uv run pytest -n 2
fix:      ; uv run ruff check --fix . && uv run ruff format .
types:    ; uv run basedpyright
layers:   ; uv run lint-imports
generate: ; uv run python -m prefect._store.schema --write && uv run python -m prefect.client._methods --write
bench:    ; uv run benchmarks/run.py
check:    ; .ci/run
