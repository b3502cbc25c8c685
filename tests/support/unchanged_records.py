"""When nothing more happens to the recommendations of a job."""

from __future__ import annotations

import time

from redis import Redis


class UnchangedRecords:
    """Says whether the recommendations have stood unchanged for a few seconds: more than an epoch and a look at the wall clock."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url)
        self._seen: tuple[int, int] = (-1, -1)
        self._since = time.monotonic()

    def __call__(self) -> bool:
        values = [self._redis.get(key) for key in sorted(self._redis.scan_iter("onramp:*"))]
        seen = (len(values), hash(tuple(values)))
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        return time.monotonic() - self._since > 4.0
