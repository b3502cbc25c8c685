"""Measures how long answers take and how they end, and shows it to Prometheus at ``GET /metrics``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.refusals import Refusals
from state.histogram import Histogram
from state.metrics import ANSWER_SECONDS, ANSWERS

_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class AnswerTimes(Collector):
    """The figures of one process since its start. Used from the event loop only."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter, refusals: Refusals | None = None) -> None:
        """Nothing was answered yet. ``clock`` is in seconds. ``refusals`` are shown, too."""
        self._refusals = refusals or Refusals()
        self.clock: Final = clock
        self._seconds = Histogram(ANSWER_SECONDS.buckets)
        self._classes: Counter[str] = Counter()

    def add(self, seconds: float, status: int) -> None:
        """Count an answer with this status, whose headers were sent after ``seconds``."""
        self._seconds.add(seconds)
        self._classes[f"{status // 100}xx"] += 1

    def collect(self) -> list[HistogramMetricFamily | CounterMetricFamily]:
        """The figures, for ``prometheus_client``."""
        times = HistogramMetricFamily(ANSWER_SECONDS.name, ANSWER_SECONDS.meaning)
        times.add_metric((), self._seconds.cumulative(), self._seconds.sum)
        answers = CounterMetricFamily(ANSWERS.name, ANSWERS.meaning, labels=ANSWERS.labels)
        for status, count in sorted(self._classes.items()):
            answers.add_metric((status,), count)
        return [times, answers]

    async def metrics(self, _request: Request) -> Response:
        """Answer with the figures in the text format of Prometheus."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        registry.register(self._refusals)
        return Response(generate_latest(registry), headers={"content-type": _CONTENT_TYPE})


class MeasureAnswers:
    """ASGI middleware: measures the time until the headers of an answer, so that a stream counts by how soon it begins."""

    def __init__(self, app: ASGIApp, times: AnswerTimes) -> None:
        """Wrap ``app``, and add to ``times``."""
        self._app = app
        self._times = times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Measure an HTTP request; pass on everything else."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        times = self._times
        began = times.clock()
        answered = False

        def measured(message: Message) -> Awaitable[None]:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                times.add(times.clock() - began, message["status"])
            return send(message)

        try:
            await self._app(scope, receive, measured)
        except Exception:
            if not answered:  # Starlette answers a bug with 500 from outside the middleware
                times.add(times.clock() - began, 500)
            raise
