"""The scripted model answers as it is told, holds many calls at once, and comes and goes on one port."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import httpx2
import pytest

from llm.client.proposal import Proposal
from tests.support.model_server import (
    ModelServer,
    Request,
    Script,
    changed,
    error,
    every,
    fenced,
    good,
    half_body,
    hang,
    held,
    in_turn,
    invented_link,
    leaks_personal_data,
    obeys_injection,
    proposal_for,
    too_many,
)
from tests.support.waiting import PATIENCE, run_async, until

PROMPT = """Answer with a JSON object of exactly these fields:
uiComponent: the value given below, unchanged
deepLink: the value given below, unchanged
language: the value given below, unchanged

GIVEN
uiComponent: sidebar_hint
deepLink: /settings/api-keys?tab=1#new
language: de
"""


def body(user: str = PROMPT) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "system", "content": "You help."}, {"role": "user", "content": user}]}


def ask(server: ModelServer, user: str = PROMPT, seconds: float = 5) -> httpx2.Response:
    return httpx2.post(f"{server.url}/chat/completions", json=body(user), timeout=seconds)


def content(response: httpx2.Response) -> str:
    return str(response.json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize(
    "user",
    [
        PROMPT,
        "uiComponent: sidebar_hint\ndeepLink: /settings/api-keys?tab=1#new\nlanguage: de",
        '{"uiComponent": "sidebar_hint", "deepLink": "/settings/api-keys?tab=1#new", "language": "de"}',
        "- **UI component**: `sidebar_hint`\n- **Deep link**: `/settings/api-keys?tab=1#new`\n- **Locale**: de-AT",
    ],
)
def test_a_good_answer_is_a_proposal_for_the_very_prompt(user: str) -> None:
    with ModelServer() as server:
        proposal = Proposal.model_validate_json(content(ask(server, user)))
    assert (proposal.ui_component, proposal.deep_link, proposal.language) == ("sidebar_hint", "/settings/api-keys?tab=1#new", "de")


def test_every_request_is_kept_with_its_headers_and_time() -> None:
    with ModelServer() as server:
        before = time.monotonic()
        httpx2.post(f"{server.url}/chat/completions", json=body("hello"), headers={"Authorization": "Bearer k"})
        after = time.monotonic()
        (request,) = server.requests
    assert (request.number, request.user, request.system, request.format) == (0, "hello", "You help.", "")
    assert request.headers["authorization"] == "Bearer k"
    assert before <= request.arrived <= after


def test_the_script_can_be_replaced_and_follow_a_plan_while_it_runs() -> None:
    with ModelServer(in_turn(error(500), too_many(3), good("hi"))) as server:
        first, second, third = (ask(server) for _ in range(3))
        assert [first.status_code, second.status_code, second.headers["retry-after"], content(third)] == [500, 429, "3", "hi"]
        server.script = every(2, error(503), good({"text": "x"}))
        assert [ask(server).status_code for _ in range(4)] == [503, 200, 503, 200]
        assert json.loads(content(ask_ok(server))) == {"text": "x"}


def ask_ok(server: ModelServer) -> httpx2.Response:
    server.script = good({"text": "x"})
    return ask(server)


@pytest.mark.parametrize("script", [fenced, invented_link, leaks_personal_data, obeys_injection, changed(confidence=0.1)])
def test_what_misbehaves_does_so_inside_a_whole_answer(script: Script) -> None:
    with ModelServer(script) as server:
        said = content(ask(server))
    request = Request(0, "/", {}, body(), 0.0)
    assert said != json.dumps(proposal_for(request))
    assert "sidebar_hint" in said


def test_half_a_body_and_a_hang_end_as_such() -> None:
    with ModelServer(half_body) as server:
        with pytest.raises(httpx2.RemoteProtocolError):
            ask(server)
        server.script = hang
        with pytest.raises(httpx2.ReadTimeout):
            ask(server, seconds=0.05)
    assert server.in_flight == 0


def test_it_comes_back_on_the_same_port() -> None:
    with ModelServer() as server:
        url = server.url
        server.stop()
        with pytest.raises(httpx2.ConnectError):
            ask(server)
        server.start()
        assert server.url == url
        assert ask(server).status_code == 200


def test_a_hundred_calls_are_under_way_at_once() -> None:
    gate = threading.Event()

    async def scenario(server: ModelServer) -> None:
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(limits=limits, timeout=PATIENCE) as client:
            calls = [asyncio.ensure_future(client.post(f"{server.url}/chat/completions", json=body())) for _ in range(100)]
            await until(lambda: server.in_flight == 100, "a hundred calls in flight")
            gate.set()
            assert all(answer.status_code == 200 for answer in await asyncio.gather(*calls))

    with ModelServer(held(gate)) as server:
        run_async(scenario(server))
