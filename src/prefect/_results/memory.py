"""The results that a process keeps at hand."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any


class LRUCache(OrderedDict[str, Any]):
    """A mapping that forgets the entry used longest ago when it holds more than `maxsize`. Safe between threads."""

    def __init__(self, maxsize: int = 1000) -> None:
        super().__init__()
        self.maxsize = maxsize
        self._lock = threading.Lock()

    @property
    def currsize(self) -> int:
        """How many entries there are."""
        return len(self)

    def find(self, key: str) -> Any:
        """The value under a key, or None; it becomes the one used last."""
        with self._lock:
            value = OrderedDict.get(self, key)
            if value is not None:
                self.move_to_end(key)
            return value

    def keep(self, key: str, value: Any) -> None:
        """Put a value under a key."""
        with self._lock:
            OrderedDict.__setitem__(self, key, value)
            self.move_to_end(key)
            while len(self) > self.maxsize:
                self.popitem(last=False)

    def __setitem__(self, key: str, value: Any) -> None:
        self.keep(key, value)

    def forget(self, key: str) -> None:
        """Drop the value under a key, if there is one."""
        with self._lock:
            OrderedDict.pop(self, key, None)

    def __repr__(self) -> str:
        return f"LRUCache({dict(self)!r}, maxsize={self.maxsize}, currsize={len(self)})"

    def __reduce__(self) -> tuple[Any, ...]:
        # another process has not read the results; sending them along could be large
        return LRUCache, (self.maxsize,)
