"""Sends spans to a collector (OTLP over HTTP, as JSON), in a thread of its own. Spans that cannot be sent are dropped."""

from __future__ import annotations

import http.client
import json
import logging
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from state.spans import Span

_LOG = logging.getLogger(__name__)
_EVERY_SECONDS: Final = 2.0
_MOST: Final = 4_096
"""The most spans that wait. If there are more, the oldest are dropped."""
_AT_ONCE: Final = 512
_ANSWER_SECONDS: Final = 5.0
_INTERNAL: Final = 1  # SPAN_KIND_INTERNAL
_ERROR: Final = 2  # STATUS_CODE_ERROR


class SpanExporter:
    """``url`` is that of the collector, like ``http://127.0.0.1:4318``. ``add`` may be called by any thread and never waits."""

    def __init__(self, url: str, *, service: str, version: str, every_s: float = _EVERY_SECONDS) -> None:
        """Connect to nothing yet."""
        self.sent = 0
        self.dropped = 0
        self._url = f"{url.rstrip('/')}/v1/traces"
        self._resource = [_attribute("service.name", service), _attribute("service.version", version)]
        self._every_s = every_s
        self._waiting: deque[Span] = deque()
        self._ended = threading.Event()
        self._complained = False
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def add(self, spans: Sequence[Span]) -> None:
        """Queue ``spans``."""
        self._waiting.extend(spans)
        while len(self._waiting) > _MOST:
            self._waiting.popleft()
            self.dropped += 1

    def close(self) -> None:
        """Send what waits, and end the thread. Blocks for a few seconds at most."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(_ANSWER_SECONDS + 1)

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            self._send_all()
        self._send_all()

    def _send_all(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
            if not self._send(batch):
                return

    def _send(self, batch: list[Span]) -> bool:
        body = json.dumps(encode(batch, self._resource)).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})  # noqa: S310 -- a checked setting
        try:
            with self._open(request, timeout=_ANSWER_SECONDS):
                pass
        except (OSError, http.client.HTTPException) as error:
            self.dropped += len(batch)
            if not self._complained:
                self._complained = True
                why = error.reason if isinstance(error, urllib.error.URLError) else type(error).__name__
                _LOG.warning("Spans cannot be sent to ONRAMP_OTLP_URL (%s); they are dropped until they can.", why)
            return False
        if self._complained:
            self._complained = False
            _LOG.info("spans are sent again; %d were dropped", self.dropped)
        self.sent += len(batch)
        return True


def encode(spans: Sequence[Span], resource: list[dict[str, Any]]) -> dict[str, Any]:
    """The request of OTLP, in its JSON form: ids in hexadecimal, 64-bit numbers as texts."""
    scope = {"scope": {"name": "onramp"}, "spans": [_span(span) for span in spans]}
    return {"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [scope]}]}


def _span(span: Span) -> dict[str, Any]:
    found: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id,
        "name": span.name,
        "kind": _INTERNAL,
        "startTimeUnixNano": str(span.began),
        "endTimeUnixNano": str(span.ended),
        "attributes": [_attribute(name, value) for name, value in span.attributes.items()],
    }
    if span.failed:
        found["status"] = {"code": _ERROR, "message": span.failed}
    return found


def _attribute(name: str, value: str | float) -> dict[str, Any]:
    if isinstance(value, str):
        return {"key": name, "value": {"stringValue": value}}
    return {"key": name, "value": {"intValue": str(value)} if isinstance(value, int) else {"doubleValue": value}}
