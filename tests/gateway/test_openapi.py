"""The description and the application agree: every route is described, and answers have the statuses and shapes that it names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.routing import Route

from gateway.app import GatewayParts, build
from gateway.keys import KeyStore
from gateway.openapi import describe
from gateway.stopping import Stopping
from tests.support.gateway import SIGNING, Gateway, event, run_gateway

WHOLE = describe()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


def test_every_route_is_described_and_nothing_else(tmp_path: Any) -> None:
    parts = GatewayParts(log=None, store=KeyStore(tmp_path / "k"), keys=SIGNING, redis_url=lambda: None, stopping=Stopping())  # type: ignore[arg-type]
    names = {"user": "userId", "write_key": "writeKey"}
    routes = {
        (re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: f"{{{names[found[1]]}}}", route.path), method.lower())
        for route in build(parts).routes
        if isinstance(route, Route) and route.include_in_schema  # the snippet's files are no part of the interface
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert routes == {(path, method) for path, operations in WHOLE["paths"].items() for method in operations}


def test_the_description_is_served_and_its_references_lead_somewhere(gateway: Gateway) -> None:
    assert gateway.get("/openapi.json").json() == WHOLE
    for name in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(WHOLE)):
        Draft202012Validator.check_schema(WHOLE["components"]["schemas"][name])


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("post", "/v1/events", event(), 202),
        ("post", "/v1/events", [event(), {}], 400),
        ("post", "/v1/events", [{}] * 1001, 413),
        ("post", "/v1/track", {"userId": "u", "event": "e"}, 200),
        ("post", "/v1/track", {}, 400),
        ("post", "/v1/batch", {"batch": [{}]}, 200),
        ("get", "/v1/recommendations/{userId}", None, 503),
        ("get", "/v1/users/{userId}/progress", None, 503),
        ("get", "/v1/stream", None, 400),
        ("get", "/healthz", None, 200),
        ("get", "/readyz", None, 200),
        ("post", "/v1/m", {}, 200),
    ],
)
def test_an_answer_is_as_described(gateway: Gateway, method: str, path: str, sent: Any, status: int) -> None:
    key = gateway.key("server")
    url = path.replace("{userId}", "ana")
    answer = gateway.post(url, sent, key=key) if method == "post" else gateway.get(url, key=key)
    assert answer.status_code == status
    schema = WHOLE["paths"][path][method]["responses"][str(status)]["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": WHOLE["components"]}).validate(answer.json())
