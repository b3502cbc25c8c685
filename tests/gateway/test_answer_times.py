"""The gateway's own figures: how long answers take and how they end."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from gateway.answer_times import AnswerTimes, MeasureAnswers


class Clock:
    """Moves on by ``step`` at each look."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


async def _fine(_request: Request) -> Response:
    return Response("fine")


async def _broken(_request: Request) -> Response:
    raise RuntimeError


@pytest.fixture
def client() -> TestClient:
    times = AnswerTimes(Clock(0.25))
    routes = [Route("/fine", _fine), Route("/broken", _broken), Route("/metrics", times.metrics)]
    app = Starlette(routes=routes, middleware=[Middleware(MeasureAnswers, times)])
    return TestClient(app, raise_server_exceptions=False)


def test_answers_are_counted_by_class_and_by_the_time_until_their_headers(client: TestClient) -> None:
    for path in ("/fine", "/fine", "/nowhere", "/broken"):
        client.get(path)
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = set(answer.text.splitlines())
    assert {
        f'onramp_gateway_answers_total{{status="{status}"}} {count}' for status, count in (("2xx", 2.0), ("4xx", 1.0), ("5xx", 1.0))
    } <= lines
    assert {'onramp_gateway_answer_seconds_bucket{le="0.1"} 0.0', 'onramp_gateway_answer_seconds_bucket{le="0.25"} 4.0'} <= lines
    assert "onramp_gateway_answer_seconds_sum 1.0" in answer.text
