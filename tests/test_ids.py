"""Time-ordered identifiers (RFC 9562, UUID version 7)."""

from __future__ import annotations

import os
import threading
import time
import uuid

import pytest

from prefect import _ids
from prefect._ids import new_id, new_ids, new_uuid


def test_it_is_a_uuid_of_version_7_and_holds_the_time() -> None:
    before = time.time_ns() // 1_000_000
    parsed = uuid.UUID(new_id())
    after = time.time_ns() // 1_000_000
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert before <= parsed.int >> 80 <= after + 1
    assert str(parsed) == str(parsed).lower()
    assert new_uuid().version == 7


def test_ids_sort_in_the_order_they_were_made_as_text_and_as_numbers() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert ids == sorted(ids)
    assert [uuid.UUID(i).int for i in ids] == sorted(uuid.UUID(i).int for i in ids)
    assert len(set(ids)) == len(ids)


def test_they_go_on_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = new_id()
    monkeypatch.setattr(_ids.time, "time_ns", lambda: 1_000_000_000)
    second, third = new_id(), new_id()
    assert first < second < third < min(new_ids(3)) < new_id()


def test_many_at_once_are_like_one_after_the_other() -> None:
    before, ids, after = new_id(), new_ids(10_000), new_id()
    assert [before, *ids, after] == sorted({before, *ids, after})
    assert {uuid.UUID(one).version for one in ids} == {7}
    assert new_ids(0) == []


def test_threads_never_get_the_same() -> None:
    made: list[list[str]] = [[] for _ in range(8)]

    def work(mine: list[str]) -> None:
        mine.extend(new_id() for _ in range(5_000))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine == sorted(mine) for mine in made)
    assert len({i for mine in made for i in mine}) == 40_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_repeat_its_parent_even_while_another_thread_makes_one() -> None:
    read, write = os.pipe()
    with _ids._lock:  # as if another thread were in the middle of it
        pid = os.fork()
        if pid == 0:
            try:
                os.write(write, b"".join(new_id().encode() for _ in range(100)))
            finally:
                os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        text = stream.read().decode()
    os.waitpid(pid, 0)
    theirs = {text[i : i + 36] for i in range(0, len(text), 36)}
    mine = {new_id() for _ in range(100)}
    assert len(theirs) == 100
    assert not {i[-16:] for i in theirs} & {i[-16:] for i in mine}
