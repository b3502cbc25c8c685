"""Progress while Redis is away: ClickHouse tells it, is asked little, and is left alone while it does not answer."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.stale_progress import ANSWER_SECONDS, MOST_AT_ONCE, StaleProgress
from local.clickhouse import EmbeddedClickHouse
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.columns import to_frame
from sinks.clickhouse.inserter import ClickHouseInserter
from sinks.clickhouse.migrate import migrate
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.duration import MINUTE
from state.records.facts import Fact, PersonFact, ProgressFact
from state.records.progress import Progress, PublishProgress
from tests.gateway.read_setup import running
from tests.state.lives import Life, catalog, event, plan, signup, track
from tests.support.gateway import run_gateway
from tests.support.waiting import PATIENCE, ends_within, run_async, until, wait_until

ODD = "a'b\\c{e}é/…"
"""A user whose id must be escaped everywhere."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The embedded ClickHouse, as a gateway finds it beside a job."""
    directory = tmp_path_factory.mktemp("clickhouse")
    stranger = EmbeddedClickHouse(directory)
    assert stranger.running_url() is None
    store = ClickHouse(embedded=EmbeddedClickHouse(directory))
    migrate(store)
    inserter = ClickHouseInserter(store)
    for kind, rows in _rows().items():
        inserter.insert(kind.TABLE, to_frame(kind, rows))
    url = stranger.running_url()
    assert url is not None
    yield url
    store.close()


def lives() -> dict[str, Life]:
    """People whose progress has everything: several steps, a change of path, the end of it, and nothing but a beginning."""
    acts: dict[str, list[Any]] = {
        "begun": [signup(user="begun")],
        "ana": [signup(user="ana"), track("connected", MINUTE, user="ana"), event("form_submit", 2 * MINUTE, user="ana", form="invite")],
        "moved": [signup(user="moved"), track("connected", MINUTE, user="moved"), signup(2 * MINUTE, "builder", user="moved")],
        "done": [
            event("step_completed", at * MINUTE, user="done", step=step)
            for at, step in enumerate(("connect", "explore", "invite", "share"))
        ]
        + [signup(9 * MINUTE, user="done")],
        ODD: [signup(user=ODD), track("connected", MINUTE, user=ODD)],
    }
    found = {}
    for user, events in acts.items():
        found[user] = Life()
        found[user].see(*events)
    return found


def _rows() -> dict[type[Fact], list[Fact]]:
    rows: dict[type[Fact], list[Fact]] = defaultdict(list)
    for life in lives().values():
        for each in life.outputs:
            if isinstance(each, PersonFact | ProgressFact):
                rows[type(each)].append(each)
    return rows


@pytest.mark.parametrize("user", sorted(lives()))
def test_it_is_what_redis_would_have_said(server: str, tmp_path: Path, user: str) -> None:
    published = [each.progress for each in lives()[user].outputs if isinstance(each, PublishProgress)][-1]
    assert published is not None
    with run_gateway(tmp_path, plans=ByTenant(plan()), clickhouse_url=lambda: server) as gateway:
        escaped = "".join(f"%{byte:02X}" for byte in user.encode())
        key = gateway.key("server", "t")
        path = f"/v1/users/{escaped}/progress"
        wait_until(lambda: gateway.get(path, key=key).status_code == 200, "an answer of a busy engine", every=0.2)
        answer = gateway.get(path, key=key)
        assert (answer.headers["onramp-stale"], answer.json()["stale"]) == ("true", True)
        assert "etag" not in answer.headers
        found = msgspec.json.decode(answer.content, type=Progress)
        same = {"version": published.version, "updated_at": published.updated_at}  # of the last row, and of the last change
        assert msgspec.structs.replace(found, **same) == published


def test_who_is_not_known_there_and_who_may_not_read_get_what_they_got_before(server: str, tmp_path: Path) -> None:
    with run_gateway(tmp_path, plans=ByTenant(plan()), clickhouse_url=lambda: server) as gateway:
        answer = gateway.get("/v1/users/nobody/progress", key=gateway.key("server", "t"))
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "5")
        assert gateway.get("/v1/users/ana/progress", key=gateway.key("server", "other")).status_code == 503
        assert gateway.get("/v1/users/ana/progress", key=gateway.key("publishable", "t")).status_code == 403
        assert gateway.get("/v1/recommendations/ana", key=gateway.key("server", "t")).status_code == 503


def test_titles_and_steps_are_those_of_the_tenants_catalog(server: str, tmp_path: Path) -> None:
    other = Plan(catalog(change=lambda text: text.replace("title: ", "title: other ")))
    for plans, begins in ((ByTenant(plan(), {"t": other}), True), (ByTenant(other, {"t": plan()}), False)):
        with run_gateway(tmp_path, plans=plans, clickhouse_url=lambda: server) as gateway:
            key = gateway.key("server", "t")
            wait_until(lambda: gateway.get("/v1/users/ana/progress", key=key).status_code == 200, "an answer of a busy engine", every=0.2)  # noqa: B023
            found = msgspec.json.decode(gateway.get("/v1/users/ana/progress", key=key).content, type=Progress)
            assert {each.title.startswith("other ") for each in found.steps} == {begins}
    with run_gateway(tmp_path, plans=ByTenant(None, {"x": other}), clickhouse_url=lambda: server) as gateway:
        assert gateway.get("/v1/users/ana/progress", key=gateway.key("server", "t")).status_code == 503


def test_redis_is_asked_first_and_again(server: str, tmp_path: Path) -> None:
    with running(tmp_path, plans=ByTenant(plan()), clickhouse_url=lambda: server) as setup:
        setup.progress("ana", 9, title="fresh")
        fresh = setup.gateway.get("/v1/users/ana/progress", key=setup.token())
        assert (fresh.json()["title"], "onramp-stale" in fresh.headers) == ("fresh", False)


# ------------------------------------------------------------------------------------------------------------------ it is asked little


@dataclass
class FakeServer:
    """Stands for ClickHouse: ``rows`` is what it answers, with ``status``; while ``gate`` is clear it answers nothing."""

    url: str = ""
    status: int = 200
    rows: bytes = b'["person","analysts","adaptive",0,0,3]\n'
    asked: int = 0
    gate: threading.Event = field(default_factory=threading.Event)


@contextmanager
def fake_server() -> Iterator[FakeServer]:
    fake = FakeServer()
    fake.gate.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name is the base class's
            """Keep quiet."""

        def do_POST(self) -> None:
            fake.asked += 1
            self.rfile.read(int(self.headers["content-length"]))
            fake.gate.wait(PATIENCE)
            self.send_response(fake.status)
            self.send_header("content-length", str(len(fake.rows)))
            self.end_headers()
            self.wfile.write(fake.rows)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        fake.gate.set()
        server.shutdown()
        server.server_close()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def asking(scenario: Any) -> None:
    """Run ``scenario`` with a server, a clock, and what asks the one by the other."""

    async def run(fake: FakeServer) -> None:
        clock = Clock()
        stale = StaleProgress(lambda: fake.url, ByTenant(plan()), clock=clock)
        try:
            await scenario(fake, clock, stale)
        finally:
            fake.gate.set()
            await stale.close()

    with fake_server() as fake:
        run_async(run(fake))


def test_a_user_is_asked_for_once_in_some_seconds_and_once_for_all_who_wait() -> None:
    async def scenario(fake: FakeServer, clock: Clock, stale: StaleProgress) -> None:

        found = await asyncio.gather(*(stale.progress("t", "ana") for _ in range(20)))
        assert fake.asked == 1
        assert {each is not None for each in found} == {True}
        clock.now += 4.9
        assert await stale.progress("t", "ana") == found[0]
        assert fake.asked == 1
        clock.now += 0.2
        await stale.progress("t", "ana")
        assert fake.asked == 2

    asking(scenario)


def test_a_few_are_asked_for_at_a_time_and_the_others_are_refused_at_once() -> None:
    async def scenario(fake: FakeServer, _clock: Clock, stale: StaleProgress) -> None:

        fake.gate.clear()
        waiting = [asyncio.create_task(stale.progress("t", f"u{number}")) for number in range(MOST_AT_ONCE)]
        await until(lambda: fake.asked == MOST_AT_ONCE, "all questions")
        assert await stale.progress("t", "one too many") is None
        fake.gate.set()
        assert None not in await asyncio.gather(*waiting)
        assert fake.asked == MOST_AT_ONCE

    asking(scenario)


@pytest.mark.parametrize(
    ("status", "rows"),
    [(500, b"Code: 60. DB::Exception: no table"), (401, b"who?"), (200, b"<html>a proxy</html>\n"), (200, b'["person", 3]\n')],
)
def test_after_a_failure_it_is_left_alone_for_a_growing_while(status: int, rows: bytes) -> None:
    async def scenario(fake: FakeServer, clock: Clock, stale: StaleProgress) -> None:
        sound, fake.status, fake.rows = fake.rows, status, rows
        asked = []
        for _ in range(60):
            assert await stale.progress("t", "ana") is None
            asked.append(fake.asked)
            clock.now += 1.0
        assert asked[-1] <= 8, "once at 0, 1, 3, 7, 15, 31 s, about"
        fake.status, fake.rows = 200, sound
        clock.now += 60
        assert await stale.progress("t", "ana") is not None
        clock.now += 6
        assert await stale.progress("t", "ana") is not None, "at once, as before the failure"

    asking(scenario)


@pytest.mark.timing
def test_a_server_that_does_not_answer_costs_a_bounded_time_and_one_question() -> None:
    async def scenario(fake: FakeServer, clock: Clock, stale: StaleProgress) -> None:
        fake.gate.clear()
        with ends_within(ANSWER_SECONDS + PATIENCE / 10, "a question that nobody answers"):
            assert await stale.progress("t", "ana") is None
        clock.now += 1.5

        first = asyncio.create_task(stale.progress("t", "ana"))
        await until(lambda: fake.asked == 2, "the one question that shows whether it answers again")
        assert await stale.progress("t", "ben") is None
        assert await first is None
        assert fake.asked == 2

    asking(scenario)


def test_nobody_there_and_no_address_are_no_answer() -> None:
    async def scenario() -> None:
        addresses = iter([None, "http://127.0.0.1:1", "nonsense"])
        clock = Clock()
        stale = StaleProgress(lambda: next(addresses), ByTenant(plan()), clock=clock)
        for _ in range(3):
            assert await stale.progress("t", "ana") is None
            clock.now += 60
        await stale.close()

    run_async(scenario())
