"""The outbox of ``examples/outbox.py`` against the real gateway: what was committed arrives in order and counts once, and nothing else."""

from __future__ import annotations

import json
import os
import random
import socketserver
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from examples import outbox
from examples.outbox import Answer, Relay, RelayError, gateway, put
from tests.support.gateway import Gateway, run_gateway
from tests.support.waiting import PATIENCE, join, pause, running, stop, wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("keys")) as found:
        yield found


@pytest.fixture
def real(served: Gateway) -> Gateway:
    """The gateway, with an empty log that works."""
    served.log.records.clear()
    served.log.failure = None
    return served


def database(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(outbox.TABLE)
    connection.execute("CREATE TABLE IF NOT EXISTS invoices (number INTEGER PRIMARY KEY)")
    connection.commit()
    return connection


@pytest.fixture
def app(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = database(tmp_path / "app.db")
    yield connection
    connection.close()


def bill(connection: sqlite3.Connection, number: int, **fields: Any) -> str:
    """What the app does: an invoice and its event, in one transaction."""
    with connection:
        connection.execute("INSERT INTO invoices VALUES (?)", [number])
        return put(connection, {"userId": "u-17", "eventType": "track", "name": f"invoice_{number}", **fields})


def roll_back(connection: sqlite3.Connection) -> None:
    """A transaction that fails after its event."""
    with connection:
        put(connection, {"userId": "u-17", "eventType": "track", "name": "never"})
        connection.execute("INSERT INTO invoices VALUES (0)")


def names(real: Gateway) -> list[str]:
    """The events of the log, each id once, as the job counts them."""
    once = {event["eventId"]: event["name"] for event in real.stored()}
    return list(once.values())


def relay(app: sqlite3.Connection, post: Callable[[bytes], Answer], naps: list[float] | None = None) -> Relay:
    return Relay(app, post, sleep=([] if naps is None else naps).append)


def left(app: sqlite3.Connection) -> int:
    (found,) = app.execute("SELECT count(*) FROM onramp_outbox WHERE sent_at IS NULL").fetchone()
    return int(found)


def test_what_was_committed_arrives_in_order_and_what_was_not_does_not(app: sqlite3.Connection, real: Gateway) -> None:
    for number in range(1_200):
        bill(app, number)
    with pytest.raises(sqlite3.IntegrityError):
        roll_back(app)
    relay(app, gateway(real.url, real.key())).run(once=True)
    assert names(real) == [f"invoice_{number}" for number in range(1_200)]
    assert len(real.stored()) == 1_200
    assert left(app) == 0


def test_while_the_log_is_away_rows_wait_and_then_go_in_order(app: sqlite3.Connection, real: Gateway) -> None:
    naps: list[float] = []
    for number in range(3):
        bill(app, number)
    job = relay(app, gateway(real.url, real.key()), naps)
    real.log.failure = "the disk is full"
    for _ in range(3):
        assert job.step()
    assert (left(app), names(real), naps) == (3, [], sorted(naps))
    assert naps[0] >= 0.2
    real.log.failure = None
    job.run(once=True)
    assert names(real) == ["invoice_0", "invoice_1", "invoice_2"]


def test_nobody_there_is_waited_for(app: sqlite3.Connection) -> None:
    naps: list[float] = []
    bill(app, 0)
    for _ in range(20):
        job = relay(app, gateway("http://127.0.0.1:9", "sk_x"), naps)
        assert job.step()
    assert left(app) == 1
    assert len(naps) == 20


class _Raw(socketserver.StreamRequestHandler):
    """Reads a request, and answers with bytes that a test gives."""

    answer = b""
    timeout = PATIENCE

    def handle(self) -> None:
        length = 0
        while line := self.rfile.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        self.rfile.read(length)
        self.wfile.write(self.answer)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server at the returned address whose every answer is ``answer``."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), type("Handler", (_Raw,), {"answer": answer})) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            join(thread, "the end of the server")


UNKNOWN = {
    "a 202 that is cut off": b'HTTP/1.1 202 Accepted\r\ncontent-length: 99\r\n\r\n{"stored": [',
    "a 202 that is cut off in a chunk": b'HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{"stored"',
    "a 202 without its length that is cut off": b'HTTP/1.1 202 Accepted\r\n\r\n{"stored": [',
    "a 200 of something else": b"HTTP/1.1 200 OK\r\n\r\n<html>sign in to this network</html>",
    "a 400 that is cut off": b'HTTP/1.1 400 Bad Request\r\ncontent-length: 99\r\n\r\n{"code": "not_json"',
    "a 401 that is cut off": b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 99\r\n\r\n{",
    "a 503 that is cut off in a chunk": b"HTTP/1.1 503 Service Unavailable\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a header without an end": b"HTTP/1.1 202 Accepted\r\ncontent-length: 5",
    "a header of a megabyte": b"HTTP/1.1 202 Accepted\r\nx: " + b"x" * 1_000_000,
    "nothing": b"",
}


@pytest.mark.parametrize("answer", UNKNOWN.values(), ids=UNKNOWN)
def test_an_answer_that_cannot_be_read_is_waited_for(app: sqlite3.Connection, answer: bytes) -> None:
    """The rows may be stored or not, so they are sent again."""
    naps: list[float] = []
    bill(app, 0)
    with answering(answer) as url:
        assert relay(app, gateway(url, "sk_x"), naps).step()
    assert (left(app), refused(app), len(naps)) == (1, [], 1)


@pytest.mark.parametrize("body", [b"[]", b"7", b"null"])
@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found"])
def test_json_of_something_else_ends_it(app: sqlite3.Connection, status: bytes, body: bytes) -> None:
    bill(app, 0)
    with answering(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)) as url, pytest.raises(RelayError):
        relay(app, gateway(url, "sk_x")).step()
    assert left(app) == 1


def test_killed_between_answer_and_mark_it_sends_the_same_id_again(app: sqlite3.Connection, real: Gateway) -> None:
    bill(app, 0)
    post = gateway(real.url, real.key())

    def killed(body: bytes) -> Answer:
        post(body)
        raise SystemExit

    with pytest.raises(SystemExit):
        relay(app, killed).step()
    assert left(app) == 1
    relay(app, post).run(once=True)
    assert len(real.stored()) == 2
    assert len({event["eventId"] for event in real.stored()}) == 1


def test_an_event_that_is_not_valid_is_kept_with_its_reason_and_holds_nobody_up(app: sqlite3.Connection, real: Gateway) -> None:
    bill(app, 0)
    bad = bill(app, 1, userId="undefined")
    bill(app, 2)
    relay(app, gateway(real.url, real.key())).run(once=True)
    assert names(real) == ["invoice_0", "invoice_2"]
    assert [each for each, _ in refused(app)] == [bad]
    assert "placeholder_id" in refused(app)[0][1]


def write(connection: sqlite3.Connection, event_id: str, body: str) -> None:
    """A row that ``put`` would not have written, as an older version or another program may have."""
    with connection:
        connection.execute("INSERT INTO onramp_outbox (event_id, body) VALUES (?, ?)", [event_id, body])


BAD_ROWS = {
    "not JSON": ('{"eventId": "bad", "payload": NaN}', "not_json"),
    "too large": (json.dumps({"eventId": "bad", "payload": {"text": "x" * 1_100_000}}), "too_large"),
    "not even an object": ("[1]", "not_an_object"),
}


@pytest.mark.parametrize(("body", "code"), BAD_ROWS.values(), ids=BAD_ROWS)
@pytest.mark.parametrize("behind", [0, 600])
def test_a_row_that_makes_the_gateway_refuse_the_request_is_refused_alone(
    app: sqlite3.Connection, real: Gateway, body: str, code: str, behind: int
) -> None:
    for number in range(3):
        bill(app, number)
    write(app, "bad", body)
    for number in range(3, 3 + behind):
        bill(app, number)
    sizes: list[int] = []
    send = gateway(real.url, real.key())

    def post(body: bytes) -> Answer:
        sizes.append(body.count(b"eventId"))
        return send(body)

    relay(app, post).run(once=True)
    assert names(real) == [f"invoice_{number}" for number in range(3 + behind)]
    assert [each for each, _ in refused(app)] == ["bad"]
    assert code in refused(app)[0][1]
    assert left(app) == 0
    assert len(sizes) <= 60


def test_many_bad_rows_in_a_row_cost_few_requests_each(app: sqlite3.Connection, real: Gateway) -> None:
    requests: list[int] = []
    send = gateway(real.url, real.key())

    def post(body: bytes) -> Answer:
        requests.append(len(body))
        return send(body)

    for number in range(200):
        write(app, f"bad_{number}", "NaN")
    bill(app, 0)
    relay(app, post).run(once=True)
    assert names(real) == ["invoice_0"]
    assert len(refused(app)) == 200
    assert len(requests) < 3 * 200


def test_what_is_not_json_is_told_to_the_app(app: sqlite3.Connection) -> None:
    with pytest.raises(ValueError, match="JSON"):
        bill(app, 0, payload={"ratio": float("nan")})
    assert app.execute("SELECT count(*) FROM onramp_outbox, invoices").fetchone() == (0,)


def test_an_answer_400_that_is_not_the_gateways_ends_it_and_marks_no_row(app: sqlite3.Connection) -> None:
    """As of a server that speaks TLS, or of another program: the address is wrong, and not the rows."""
    for number in range(5):
        bill(app, number)
    with pytest.raises(RelayError, match="400"):
        relay(app, lambda _: Answer(400, {})).run(once=True)
    assert left(app) == 5


def test_a_body_that_came_too_slowly_is_sent_again_in_smaller_batches(app: sqlite3.Connection) -> None:
    sizes: list[int] = []

    def slow(body: bytes) -> Answer:
        sizes.append(body.count(b"eventId"))
        return Answer(408 if sizes[-1] > 2 or len(sizes) == 3 else 202, {"code": "too_slow"})

    for number in range(4):
        bill(app, number)
    relay(app, slow).run(once=True)
    assert (sizes, left(app), refused(app)) == ([4, 2, 2, 1, 1], 0, [])


def refused(app: sqlite3.Connection) -> list[tuple[str, str]]:
    return app.execute("SELECT event_id, refused FROM onramp_outbox WHERE refused IS NOT NULL").fetchall()


def test_a_request_is_no_larger_than_the_gateway_takes(app: sqlite3.Connection, real: Gateway) -> None:
    for number in range(60):
        bill(app, number, payload={"text": "x" * 30_000})
    relay(app, gateway(real.url, real.key())).run(once=True)
    assert names(real) == [f"invoice_{number}" for number in range(60)]


def test_where_something_between_takes_less_the_batch_is_halved(app: sqlite3.Connection) -> None:
    sizes: list[int] = []

    def proxy(body: bytes) -> Answer:
        sizes.append(body.count(b"eventId"))
        return Answer(413 if sizes[-1] > 2 else 202, {})

    for number in range(5):
        bill(app, number)
    relay(app, proxy).run(once=True)
    assert (sizes, left(app)) == ([5, 2, 3, 1, 2], 0)


def test_a_wrong_key_ends_it_and_loses_nothing(app: sqlite3.Connection, real: Gateway) -> None:
    for number in range(2):
        bill(app, number)
    with pytest.raises(RelayError, match="401"):
        relay(app, gateway(real.url, "sk_wrong")).run(once=True)
    with pytest.raises(RelayError, match="403"):
        relay(app, lambda _: Answer(403, {"code": "origin_not_allowed", "message": "not from here"})).run(once=True)
    assert (left(app), refused(app)) == (2, [])


def test_a_row_that_something_between_does_not_take_is_refused_with_the_status(app: sqlite3.Connection) -> None:
    bad = bill(app, 0)
    relay(app, lambda _: Answer(413, {})).run(once=True)
    assert refused(app) == [(bad, '{"status": 413}')]


@pytest.mark.slow
@pytest.mark.timing
def test_a_relay_that_is_killed_again_and_again_loses_nothing(tmp_path: Path, app: sqlite3.Connection, real: Gateway) -> None:
    rng, number = random.Random(7), 0
    command = [sys.executable, str(ROOT / "examples" / "outbox.py"), "--database", str(tmp_path / "app.db"), "--url", real.url]
    environment = {**os.environ, "GATEWAY_KEY": real.key()}
    for _ in range(8):
        with running(subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)) as process:
            before = len(real.log.records)
            for _ in range(60):
                bill(app, number)
                number += 1
            wait_until(lambda before=before: len(real.log.records) > before, "the first events", process=process)  # type: ignore[misc]
            for _ in range(60):
                bill(app, number)
                number += 1
            pause(rng.random() * 0.2, "the relay is killed at any moment")
            stop(process)
    with running(subprocess.Popen([*command, "--once"], env=environment, stdin=subprocess.DEVNULL)) as process:
        assert process.wait(PATIENCE) == 0
    assert names(real) == [f"invoice_{each}" for each in range(number)]
