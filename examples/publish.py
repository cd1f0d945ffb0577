"""All or nothing: the steps of a transaction are undone when a later one fails.

    uv run --no-dev examples/publish.py

A report is written and put in a catalogue; then it is found to be empty. The transaction takes both steps back.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from prefect import flow, task
from prefect.transactions import Transaction, transaction


@task
def write(folder: Path, name: str, text: str) -> Path:
    """Write a report."""
    path = folder / f"{name}.txt"
    path.write_text(text, encoding="utf-8")
    return path


@write.on_rollback
def remove_report(txn: Transaction) -> None:
    path = txn.get("folder") / f"{txn.get('name')}.txt"
    path.unlink()
    print(f"took back {path.name}")


@task
def enlist(folder: Path, name: str) -> None:
    """Put a report in the catalogue."""
    catalogue = folder / "catalogue.json"
    names = json.loads(catalogue.read_text()) if catalogue.exists() else []
    catalogue.write_text(json.dumps([*names, name]))


@enlist.on_rollback
def strike(txn: Transaction) -> None:
    catalogue = txn.get("folder") / "catalogue.json"
    catalogue.write_text(json.dumps([name for name in json.loads(catalogue.read_text()) if name != txn.get("name")]))
    print(f"took {txn.get('name')} out of the catalogue")


@task
def proofread(path: Path) -> None:
    """Refuse a report without content."""
    if not path.read_text(encoding="utf-8").strip():
        raise ValueError(f"{path.name} is empty")


@flow(log_prints=True)
def publish(folder: Path, name: str, text: str) -> None:
    """Write a report, list it, proofread it: all of that, or nothing."""
    with transaction() as txn:
        txn.set("folder", folder)
        txn.set("name", name)
        path = write(folder, name, text)
        enlist(folder, name)
        proofread(path)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        publish(folder, "january", "It rained.")
        try:
            publish(folder, "february", "")
        except ValueError as refusal:
            print(f"not published: {refusal}")
        print("in the folder: ", ", ".join(sorted(path.name for path in folder.iterdir())))
        print("in the catalogue: ", json.loads((folder / "catalogue.json").read_text()))
