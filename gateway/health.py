"""``/healthz``: the process runs. ``/readyz``: it can take events."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import json_response
from gateway.log import Log
from gateway.recent_answer import RecentAnswer
from gateway.records import Records


class Health:
    """The two checks of a load balancer or supervisor. Neither needs a key, and neither names an address."""

    def __init__(self, log: Log, records: Records) -> None:
        """Look at both."""
        self._log = log
        self._redis = RecentAnswer(records.answers)

    async def alive(self, _request: Request) -> Response:
        """Answer 200 for as long as the event loop runs."""
        return json_response(200, {"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """Answer 200, or 503 while the log takes no events. Without Redis events are taken all the same, so that is only told."""
        fault = await self._log.fault()
        if fault is not None:
            return json_response(503, {"status": "unavailable", "log": fault}, {"retry-after": "2"})
        return json_response(200, {"status": "ok", "recommendations": "ok" if await self._redis.answer() else "unavailable"})
