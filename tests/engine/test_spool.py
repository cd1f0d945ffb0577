"""What waits on disk for a server that is away."""

from __future__ import annotations

import shutil
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


def test_a_file_that_was_removed_is_still_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "home" / "spool")
    spool.append(b"one")
    assert not spool.is_removed
    shutil.rmtree(tmp_path / "home")
    assert spool.is_removed
    long = b"2" * 3_000_000  # more than is read at a time
    spool.append(long, durable=True)
    assert list(spool.lines()) == [b"one", long]
    spool.clear()
    assert not spool.is_removed
    spool.append(b"three")  # a new file, where it belongs
    assert list(spool.lines()) == [b"three"]
    assert len(list((tmp_path / "home" / "spool").iterdir())) == 1
    spool.close()


def test_half_a_line_is_left_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(b"whole")
    with spool.path.open("ab") as file:
        file.write(b"half")
    assert list(spool.lines()) == [b"whole"]
    assert list(spool.lines()) == []
    spool.clear()
