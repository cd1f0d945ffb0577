"""When a request that failed is sent again, and after how long: decisions only, no waiting and no sending."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

PASSING = frozenset({429, 502, 503})
"""Statuses that say: not now. Nothing was done, so anything may be sent again."""

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 60.0


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and how spread out in time, requests are sent again.

    Attributes:
        most: how many times at most.
        spread: how far a wait may be from the calculated one, as a fraction of it.
        extra_statuses: more statuses after which a request is sent again.
    """

    most: int = 5
    spread: float = 0.2
    extra_statuses: frozenset[int] = frozenset()

    def after_status(self, status: int, headers: Mapping[str, str], attempt: int, now: datetime) -> float | None:
        """Seconds to wait after an answer with this status, None when it is final.

        Args:
            attempt: how many times the request was sent again already.
            now: for `Retry-After` as a date (RFC 9110, 10.2.3).
        """
        if attempt >= self.most or (status not in PASSING and status not in self.extra_statuses):
            return None
        asked = retry_after(headers.get("retry-after"), now)
        # who asks for a pause gets all of it: the spread only adds to it
        return self._wait(attempt) if asked is None else asked * (1 + random.random() * self.spread)

    def after_failure(self, attempt: int) -> float | None:
        """Seconds to wait after the connection failed, None when it has failed too often."""
        return None if attempt >= self.most else self._wait(attempt)

    def _wait(self, attempt: int) -> float:
        wait = min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT)
        return max(0.0, wait * (1 + (2 * random.random() - 1) * self.spread))


def retry_after(value: str | None, now: datetime) -> float | None:
    """The seconds that a `Retry-After` header asks for; None when there is none that makes sense."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_WAIT) if seconds == seconds else None
