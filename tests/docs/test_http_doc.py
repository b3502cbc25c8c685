"""The lines of docs/http.md: those with curl are run against a gateway, and the tokens are minted as the page says."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

import jwt
import pytest

from gateway.authentication import MOST_VISITORS
from gateway.body import ANONYMOUS_SECONDS, BODY_SECONDS, MOST_OPEN_BYTES
from gateway.connection import MOST_CONNECTIONS, Limits
from gateway.quota import PAGES_PERCENT
from gateway.split_json import MOST_EVENTS
from gateway.stream_route import MOST_OF_ONE_USER, MOST_STREAMS
from tests.support.gateway import event, run_gateway

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "http.md").read_text(encoding="utf-8")


def test_the_curl_lines_work(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; the commands of docs/http.md are not run")
    with run_gateway(tmp_path) as gateway:
        signing, secret = gateway.store.create("signing")
        claims = {"aud": "onramp", "tenant": "default", "sub": "u-17", "iat": int(time.time()), "exp": int(time.time()) + 900}
        token = jwt.encode(claims, secret, algorithm="HS256", headers={"kid": signing.id})
        names = {"HOST": gateway.url, "KEY": gateway.key(), "TOKEN": token, "PATH": "/usr/bin:/bin:/usr/local/bin"}
        said = []
        for block in re.findall(r"^```sh run\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
            done = subprocess.run(["sh", "-c", block], env=names, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == (28 if "--max-time" in block else 0), done.stderr  # 28: curl's time is up
            said.append(done.stdout)
        assert said[0] == '{"stored":["e1"]}'
        assert '"stored":["e2"]' in said[1]
        assert {field for field in ("timestamp", "userId", "payload.path") if f'"field":"{field}"' in said[1]} == {
            "timestamp",
            "userId",
            "payload.path",
        }
        assert said[2].count("HTTP/1.1 503") == 2  # no Redis in this test
        assert said[3].count('"progress":null,"progressUrl":"/v1/users/u-17/progress"') == 2
        assert said[4].startswith("retry: 1000")
        assert said[5] == '{"success":true}'
        kinds = [each["eventType"] for each in gateway.stored()]
        assert kinds == ["track", "page_view", "signup", "step_completed", "track"]


def test_the_function_that_mints_tokens_works_as_it_is(tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(import time, jwt.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    with run_gateway(tmp_path) as gateway:
        key, secret = gateway.store.create("signing")
        names = {"SIGNING_KEY": secret, "SIGNING_KEY_ID": key.id}
        exec(code, names)
        mint = names["onramp_token"]
        assert gateway.post("/v1/events", event(userId=None), key=mint("ana")).status_code == 202  # type: ignore[operator]


def test_the_limits_of_the_page_are_those_of_the_code() -> None:
    page = " ".join(PAGE.split())
    assert f"at most {MOST_EVENTS:,}" in page
    assert f"| {MOST_VISITORS} anonymous ids a quarter of an hour" in page
    assert f"at most {MOST_OF_ONE_USER} streams, a process {MOST_STREAMS:,}" in page
    assert f"did not come within {BODY_SECONDS:g} seconds, or {ANONYMOUS_SECONDS:g} without" in page
    assert f"together may store {PAGES_PERCENT} % of it" in page
    assert f"A connection may have {Limits().unanswered} requests without an answer" in page
    assert f"which takes {MOST_CONNECTIONS:,} connections" in page
    assert f"may hold {MOST_OPEN_BYTES // 1_048_576} MiB of a process together" in page
    limits = Limits()
    assert f"must come within {limits.head_seconds:g} seconds" in page
    assert f"{limits.head_bytes // 1024} KiB of them" in page
    assert f"more than {limits.headers} headers" in page
    assert f"takes nothing of an answer for {limits.send_seconds:g} seconds" in page


def test_a_fresh_directory_gets_its_secret_before_the_gateway_needs_it() -> None:
    """The job makes the secret; a gateway that is started first only says so."""
    (block,) = re.findall(r"^```sh\n(export.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    commands = [line.partition("#")[0].split() for line in block.splitlines()]
    assert [command[:2] for command in commands] == [
        ["export", "ONRAMP_EVENT_LOG=.onramp/log"],
        ["onramp", "run"],
        ["onramp", "keys"],
        ["onramp", "gateway"],
    ]
