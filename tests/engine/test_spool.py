"""What waits on disk for a server that is away."""

from __future__ import annotations

from pathlib import Path

from prefect._engine.recording.spool import Spool


def test_messages_are_read_in_order_and_gone_on_from(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for line in (b"one", b"two"):
        spool.append(line, durable=True)
    lines = spool.lines()
    assert next(lines) == b"one"
    spool.append(b"three", durable=False)  # while somebody reads: at the end, wherever the reader is
    assert list(lines) == [b"two", b"three"]
    assert list(spool.lines()) == []
    spool.clear()
    assert not list((tmp_path / "spool").iterdir())
