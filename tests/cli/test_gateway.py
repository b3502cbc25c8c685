"""``onramp gateway`` as a person runs it: a process with a key, an event log on disk, and an end in order."""

from __future__ import annotations

import re
import signal
from itertools import count
from pathlib import Path
from threading import Thread

import httpx2
import msgspec
import pytest

from cli import up
from flows.settings import load_settings
from gateway.keys import KeyStore
from sources.local_log.log import EventLog, Record
from sources.local_log.reader import LogReader
from state.duration import DAY
from system.wall_clock import wall_clock
from tests.cli.command import onramp, start, start_with_open_files
from tests.support.gateway import event
from tests.support.waiting import PATIENCE, join, read_line, running, wait_until


def test_an_acknowledged_event_is_in_the_log_when_the_gateway_was_killed(tmp_path: Path) -> None:
    key = onramp("keys", "create", "server", cwd=tmp_path).out.splitlines()[0]
    for number, ending in enumerate((signal.SIGTERM, signal.SIGKILL)):
        with running(start("gateway", "--port", "0", cwd=tmp_path, ONRAMP_EVENT_LOG="log", ONRAMP_SECRET="x" * 16)) as process:
            said = read_line(process.stderr, "the address of the gateway")
            (url,) = re.findall(r"http://127\.0\.0\.1:\d+", said)
            answer = httpx2.post(f"{url}/v1/events", json=event(f"e{number}"), headers={"authorization": f"Bearer {key}"}, timeout=PATIENCE)
            assert (answer.status_code, answer.json()) == (202, {"stored": [f"e{number}"]})
            process.send_signal(ending)
            assert process.wait(PATIENCE) == (0 if ending == signal.SIGTERM else -9)
    assert stored_ids(tmp_path) == ["e0", "e1"]


def test_no_acknowledged_event_is_lost_when_the_gateway_is_killed_under_load(tmp_path: Path) -> None:
    key = onramp("keys", "create", "server", cwd=tmp_path).out.splitlines()[0]
    acknowledged: list[str] = []
    with running(start("gateway", "--port", "0", cwd=tmp_path, ONRAMP_EVENT_LOG="log", ONRAMP_SECRET="x" * 16)) as process:
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+", read_line(process.stderr, "the address of the gateway"))

        def send(sender: int) -> None:
            with httpx2.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=PATIENCE) as client:
                for number in count():
                    batch = [event(f"s{sender}-{number}-{place}", userId=f"u{place}") for place in range(20)]
                    try:
                        answer = client.post("/v1/events", json=batch)
                    except httpx2.HTTPError:
                        return  # it was killed
                    acknowledged.extend(answer.json()["stored"])

        senders = [Thread(target=send, args=(sender,), daemon=True) for sender in range(6)]
        for sender in senders:
            sender.start()
        wait_until(lambda: len(acknowledged) > 1_000, "a thousand acknowledged events", process=process)
        process.kill()
        for sender in senders:
            join(sender, "the end of a sender")
    stored = stored_ids(tmp_path)
    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))


@pytest.mark.parametrize(("setting", "value"), [("ONRAMP_EVENT_LOG_MAX_MB", "3"), ("ONRAMP_EVENT_LOG_MAX_DAYS", "2.5")])
def test_the_gateway_takes_the_log_as_it_is_and_deletes_what_the_settings_do_not_keep(tmp_path: Path, setting: str, value: str) -> None:
    """Of twelve messages of nearly a megabyte nine are four days old, and the same nine are too many for three megabytes."""
    appended = iter([wall_clock() - 4 * DAY] * 9 + [wall_clock()] * 3)
    with EventLog(tmp_path / "log", partitions=1, retention=None, now=lambda: next(appended)) as log:
        for _ in range(12):
            log.append([Record(b"u", b"x" * 1_000_000)])
    reader = LogReader(tmp_path / "log")
    environment = {"ONRAMP_EVENT_LOG": "log", "ONRAMP_SECRET": "x" * 16, setting: value}
    with running(start("gateway", "--port", "0", cwd=tmp_path, **environment)) as process:
        wait_until(lambda: reader.first_bounds(0).low == 9, "the deletion of the nine", process=process)
    assert reader.first_bounds(0).end == 12
    reader.close()


def test_with_few_open_files_it_serves_and_says_what_to_raise(tmp_path: Path) -> None:
    environment = {"ONRAMP_EVENT_LOG": "log", "ONRAMP_SECRET": "x" * 16}
    with running(start_with_open_files(256, "gateway", "--port", "0", cwd=tmp_path, **environment)) as process:
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+", read_line(process.stderr, "the address of the gateway"))
        assert httpx2.get(f"{url}/openapi.json", timeout=PATIENCE).status_code == 200
        said = read_line(process.stderr, "the warning")
    assert "256 open files are enough for 128 connections; raise the limit (nofile) to 10,256" in said


def stored_ids(directory: Path) -> list[str]:
    """The ids of all events in the log."""
    found: list[str] = []
    reader = LogReader(directory / "log")
    try:
        for partition in range(reader.identity.partitions):
            offset, end = reader.first_bounds(partition)
            while offset < end:
                part = reader.read(partition, offset, 1_000) or []
                found += (msgspec.json.decode(each.record.value)["eventId"] for each in part)
                offset = part[-1].offset + 1 if part else offset
    finally:
        reader.close()
    return found


def test_without_a_place_for_events_it_says_what_to_set(tmp_path: Path) -> None:
    result = onramp("gateway", "--port", "0", cwd=tmp_path)
    assert (result.code, result.out, len(result.err.splitlines())) == (1, "", 1)
    assert "ONRAMP_EVENT_LOG" in result.err


def test_an_address_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    result = onramp("gateway", "--host", "192.0.2.1", cwd=tmp_path, ONRAMP_EVENT_LOG="log", ONRAMP_SECRET="x" * 16)
    assert (result.code, len(result.err.splitlines())) == (1, 1)
    assert "--host" in result.err


def test_a_gateway_says_that_the_demo_page_is_of_another_product(tmp_path: Path) -> None:
    asked = {"ONRAMP_EVENT_LOG": "log", "ONRAMP_SECRET": "x" * 16, "ONRAMP_CATALOG": "recipes"}
    with running(start("gateway", "--demo", "--port", "0", cwd=tmp_path, **asked)) as process:
        assert "the demo page is for the sample product only" in read_line(process.stderr, "the warning")


def test_the_demo_stays_off_once_its_key_was_revoked(tmp_path: Path) -> None:
    """Until the file with the text of the key is removed, also after a restart."""

    def session(pattern: str) -> int:
        with running(start("gateway", "--demo", "--port", "0", cwd=tmp_path, ONRAMP_EVENT_LOG="log", ONRAMP_SECRET="x" * 16)) as process:
            said = read_line(process.stderr, "the first line")
            assert re.search(pattern, said), said
            said = said if "http://" in said else read_line(process.stderr, "the address of the gateway")
            (url,) = re.findall(r"http://127\.0\.0\.1:\d+", said)
            return httpx2.post(f"{url}/demo/session", json={}, timeout=PATIENCE).status_code

    assert session("listening") == 200
    made = [key for key in KeyStore(tmp_path / ".onramp" / "keys.json").all_keys() if key.note == "demo page"]
    assert sorted(key.kind for key in made) == ["publishable", "signing"]
    for key in made:
        assert onramp("keys", "revoke", key.id, cwd=tmp_path).code == 0
    assert session("the key of the demo page was revoked, so the page is not served; remove .*demo.key to make another one") == 404
    assert len(KeyStore(tmp_path / ".onramp" / "keys.json").all_keys()) == 2
    (tmp_path / ".onramp" / "demo.key").unlink()
    assert session("listening") == 503, "its signing key was revoked, too"
    assert onramp("keys", "create", "signing", cwd=tmp_path).code == 0
    assert session("listening") == 200


@pytest.mark.parametrize(
    ("host", "options", "warned", "page"),
    [
        ("127.0.0.1", ("--demo",), None, "http://127.0.0.1:8080/demo/"),
        ("localhost", ("--demo-for-all",), None, "http://localhost:8080/demo/"),
        (
            "0.0.0.0",
            ("--demo",),
            "every address of this machine, .* they need a key. The demo page is for this",
            "http://localhost:8080/demo/",
        ),
        ("0.0.0.0", (), "every address of this machine, which other machines may reach: they need a key.$", "http://localhost:8080/demo/"),
        ("192.0.2.1", ("--demo",), "listens on 192.0.2.1, which other machines may reach", None),
        ("192.0.2.1", ("--demo-for-all",), "open to everyone who reaches it: each gets a key", "http://192.0.2.1:8080/demo/"),
    ],
)
def test_up_warns_of_a_host_that_others_reach_and_names_the_demo_where_it_can_be_opened(
    host: str, options: tuple[str, ...], warned: str | None, page: str | None
) -> None:
    said = up._warning(host, options)
    assert (said is None) == (warned is None)
    assert warned is None or re.search(warned, str(said))
    settings = load_settings(gateway_host=host, gateway_port=8080)
    assert up._demo_page(settings, f"http://{host}:8080", for_all=options == ("--demo-for-all",)) == page


def test_up_serves_the_demo_unless_it_is_switched_off() -> None:
    assert up._demo_options(demo=None, for_all=False, fits=True) == ("--demo",)
    assert up._demo_options(demo=False, for_all=False, fits=True) == ()
    assert up._demo_options(demo=True, for_all=True, fits=True) == ("--demo-for-all",)
