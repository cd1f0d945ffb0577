"""Holding on to flow runs while they run here: their leases are renewed, and who lost one, or is cancelled, is told.

A run takes its lease with the request that makes it `Running`. One thread of the process renews them all; it exists from
then on until no run is left.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import weakref
from collections.abc import Callable
from typing import Any

from prefect._engine import stopping
from prefect._engine.frames import FlowFrame
from prefect._engine.recording.units import Refused
from prefect._ids import new_id
from prefect._transport.direct import ServerUnreachable

_log = logging.getLogger("prefect.recorder")

EVERY_SECONDS = 15.0
"""How often leases, which last for a minute, are renewed."""


class Held:
    """The flow runs that this process holds.

    Args:
        ask: sends a request (method, route, body) and returns what the answer holds.
    """

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._frames: weakref.WeakValueDictionary[str, FlowFrame] = weakref.WeakValueDictionary()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._holder: dict[str, Any] | None = None

    @property
    def holder(self) -> dict[str, Any]:
        """This process, as a holder of leases."""
        if self._holder is None:
            name = f"{os.getpid()} on {socket.gethostname()}"
            self._holder = {"kind": "process", "id": new_id(), "name": name}
        return self._holder

    def add(self, frame: FlowFrame) -> None:
        """Hold on to a run that has just taken its lease, or that takes it when the server is there again."""
        with self._lock:
            self._frames[frame.id] = frame
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._renew_now_and_then, args=(self._wake,), name="prefect-leases", daemon=True
                )
                self._thread.start()

    def discard(self, frame: FlowFrame) -> None:
        """Let go of a run that has ended; its lease went with the end."""
        with self._lock:
            self._frames.pop(frame.id, None)
            if not self._frames and self._thread is not None:
                self._thread = None
                self._wake.set()
                self._wake = threading.Event()

    def _renew_now_and_then(self, wake: threading.Event) -> None:
        while not wake.wait(EVERY_SECONDS):
            try:
                if not self.renew():
                    return
            except Exception:  # the next time may be better, and runs must be held on to
                _log.exception("The leases of flow runs could not be renewed, and it is tried again:")

    def renew(self) -> bool:
        """Say that the runs are still held, and stop those that are not, or are cancelled; False: no need to go on."""
        frames = dict(self._frames)
        try:
            for frame in frames.values():
                if frame.lease_token is None:
                    self._take(frame)
            tokens = {id: frame.lease_token for id, frame in frames.items() if frame.lease_token is not None}
            if not tokens:
                return True
            leases = [{"flow_run_id": id, "token": token} for id, token in tokens.items()]
            answer = self._ask("POST", "/flow_runs/leases/renew", {"leases": leases}, patient=False)
        except ServerUnreachable as exc:
            _log.debug("The leases of flow runs were not renewed: %s", exc)
            return True
        except Refused as exc:
            if exc.status in (404, 405):
                return False
            raise
        for id in answer["lost"]:
            frame = frames[id]
            if frame.state is not None and not frame.state.is_final:
                self._lost(frame)
        for id in answer["cancelling"]:
            stopping.stop(frames[id], "The flow run is being cancelled.")
        return True

    def _take(self, frame: FlowFrame) -> None:
        """Take the lease of a run that began while nobody could be asked, once the server has been told of the run."""
        try:
            lease = self._ask("POST", f"/flow_runs/{frame.id}/lease", {"holder": self.holder}, patient=False)
        except Refused as exc:
            if exc.status == 409:
                self._lost(frame)
            elif exc.status not in (404, 405):
                raise
        else:
            frame.lease_token = lease["token"]

    def _lost(self, frame: FlowFrame) -> None:
        reason = (
            f"Flow run {frame.name!r} ({frame.id}) is not held by this process any more: it was taken for dead, or it was "
            "started elsewhere. It stops here."
        )
        _log.error("%s", reason)
        stopping.stop(frame, reason)
        self.discard(frame)

    def after_fork_in_child(self) -> None:
        self._reset()
