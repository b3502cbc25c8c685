"""``onramp up``: everything live on this machine, whatever of it is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from flows.catalogs import sample_at_once
from local.valkey import published_url
from sources.archive.archive import Archive
from sources.archive.rows import rows_of
from tests.support.job_runs import ROOT
from tests.support.ports import port_of, reserve
from tests.support.waiting import read_line, read_to_end, running, wait_until

WITHIN = 240.0
"""Seconds for all parts to start on a machine that does other work."""


class Live:
    """A running ``onramp up``, used as an app uses it."""

    def __init__(self, process: subprocess.Popen[str], data_dir: Path) -> None:
        self.process = process
        self.data_dir = data_dir
        line = read_line(process.stdout, "the addresses", within=WITHIN)
        assert line, f"it ended: {read_to_end(process.stderr, 'what it wrote')}"
        self.told = json.loads(line)
        self.key = self.told["keys"].get("server", "")

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of an answer; status 0 where nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.told["address"] + path, data, headers), timeout=30) as answer:
                content = answer.read()
                return answer.status, json.loads(content) if content else None
        except urllib.error.HTTPError as error:
            return error.code, None
        except OSError:
            return 0, None

    def send(self, user: str, number: int, kind: str, **payload: Any) -> None:
        """Send an event, again and again until it is acknowledged, as an SDK does."""
        event = {
            "eventId": f"{user}-{number}",
            "userId": user,
            "eventType": kind,
            "timestamp": datetime.now(UTC).isoformat(),
            "payload": payload,
        }
        wait_until(
            lambda: self.ask("/v1/events", event)[0] == HTTPStatus.ACCEPTED, f"the acknowledgement of {kind}", within=WITHIN, every=0.2
        )

    def recommendation(self, user: str) -> dict[str, Any]:
        """The first recommendation of ``user``."""

        def found() -> dict[str, Any]:
            status, record = self.ask(f"/v1/recommendations/{user}")
            return record if status == HTTPStatus.OK else {}

        return wait_until(found, f"a recommendation for {user}", within=WITHIN, every=0.1)

    def progress(self, user: str) -> dict[str, str]:
        """Step → status."""
        _, record = self.ask(f"/v1/users/{user}/progress")
        return {step["id"]: step["status"] for step in record["steps"]} if record else {}

    def pid(self, of: str) -> int:
        """Process id of the job, the gateway, the archive or Valkey."""
        if of == "valkey":
            for each in Path("/proc").glob("[0-9]*/cwd"):
                try:
                    if each.readlink() == self.data_dir / "valkey":
                        return int(each.parent.name)
                except OSError:
                    continue
            raise AssertionError("no process works in the directory of Valkey")
        pattern = {"job": "-m\0cli\0run\0", "gateway": "-m\0cli\0gateway\0", "archive": "-m\0cli\0archive\0"}[of]
        for each in Path("/proc").glob("[0-9]*"):
            try:
                environment = (each / "environ").read_bytes()
                if pattern.encode() in (each / "cmdline").read_bytes() and str(self.data_dir).encode() in environment:
                    return int(each.name)
            except OSError:
                continue
        raise AssertionError(f"there is no process of {of}")


@contextmanager
def live(data_dir: Path, *options: str) -> Iterator[Live]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONRAMP_")}
    held = reserve()
    command = [sys.executable, "-m", "cli", "up", "--json", "--port", str(port_of(held)), "--data-dir", str(data_dir), *options]
    with (
        held,
        running(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env={**environment, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        ) as process,
    ):
        yield Live(process, data_dir)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it looks for processes in /proc")
def test_whatever_is_killed_comes_back_and_nothing_that_was_acknowledged_is_lost(tmp_path: Path) -> None:
    with live(tmp_path / "data", "--archive") as up:
        up.send("ada", 1, "signup", traits={"persona": "analyst"})
        first = up.recommendation("ada")
        assert first["trigger"] == "signup"
        assert re.fullmatch(r"sk_[0-9a-f]{48}", up.key)
        status, _ = up.ask("/demo/session", {})
        assert status == HTTPStatus.OK
        for number, (victim, user) in enumerate((("job", "bob"), ("archive", "eve"), ("gateway", "cleo"), ("valkey", "dan")), 2):
            os.kill(up.pid(victim), signal.SIGKILL)
            up.send(user, number, "signup", traits={"persona": "analyst"})
            assert up.recommendation(user)["userId"] == user, f"after the end of the {victim}"
        assert up.recommendation("ada")["decisionId"] == first["decisionId"], "decided once, whatever was killed"
        wait_until(lambda: set(up.progress("dan").values()) == {"current", "open"}, "the progress of dan", within=WITHIN)
        up.process.send_signal(signal.SIGINT)
        _, told = up.process.communicate(timeout=WITHIN)
        assert up.process.returncode == 0, told
        assert [line for line in told.splitlines() if "Traceback" in line] == []
        assert "the job was ended by signal 9" in told
        assert "the gateway was ended by signal 9" in told
        assert "the archive was ended by signal 9" in told
    counted = subprocess.run(
        [sys.executable, "-m", "cli", "sql", "SELECT count() AS n FROM events_final", "--json", "--data-dir", str(tmp_path / "data")],
        cwd=ROOT, capture_output=True, text=True, timeout=WITHIN, check=True,
    )  # fmt: skip
    assert json.loads(counted.stdout)["rows"] == [{"n": 5}]
    archive = Archive(tmp_path / "data" / "archive")
    rows = [row for file in archive.files() for row in rows_of(archive.read(file))]
    users = [json.loads(row.value or b"null")["userId"] for row in rows]
    assert {"ada", "bob", "cleo", "dan", "eve"} <= set(users)
    assert len({(file.partition, row.offset) for file in archive.files() for row in rows_of(archive.read(file))}) == len(rows)


@pytest.mark.slow
def test_typed_again_it_goes_on_and_a_second_one_is_one_sentence(tmp_path: Path) -> None:
    with live(tmp_path / "data") as up:
        up.send("ada", 1, "signup", traits={"persona": "analyst"})
        up.recommendation("ada")
        second = subprocess.run(
            [sys.executable, "-m", "cli", "up", "--data-dir", str(tmp_path / "data")],
            cwd=ROOT, capture_output=True, text=True, timeout=WITHIN, check=False,
        )  # fmt: skip
        assert second.returncode == 1
        assert "is in use by process" in second.stderr
        key = up.key
        up.process.send_signal(signal.SIGTERM)
        up.process.communicate(timeout=WITHIN)
        assert up.process.returncode == 0
    assert published_url(tmp_path / "data" / "valkey") is None
    with live(tmp_path / "data") as again:
        assert again.told["keys"] == {}
        again.key = key
        assert again.recommendation("ada")["trigger"] == "signup"
        again.send("ada", 2, "button_click", target="finish_tour")
        wait_until(lambda: again.progress("ada").get("tour_sample") == "done", "the completed step", within=WITHIN, every=0.1)


@pytest.mark.slow
def test_with_a_product_of_ones_own_there_is_no_demo_page(tmp_path: Path) -> None:
    with live(tmp_path / "data", "--catalog", str(ROOT / "examples" / "invoices.yaml")) as up:
        assert up.told["demo"] is None
        assert up.ask("/demo/session", {})[0] == HTTPStatus.NOT_FOUND
        assert up.ask("/v1/recommendations/ada")[0] == HTTPStatus.NO_CONTENT


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it looks for processes in /proc")
def test_a_catalog_that_is_broken_while_it_runs_stops_nobody_when_the_job_starts_again(tmp_path: Path) -> None:
    catalogs = tmp_path / "catalogs"
    catalogs.mkdir()
    (catalogs / "sample.yaml").write_text(sample_at_once(), encoding="utf-8")
    other = (ROOT / "catalog" / "recipes.yaml").read_text(encoding="utf-8")
    (catalogs / "recipes.yaml").write_text(f"{other}\ntenants: [acme]\n", encoding="utf-8")
    with live(tmp_path / "data", "--catalog", str(catalogs)) as up:
        up.send("ada", 1, "signup", traits={"persona": "analyst"})
        assert up.recommendation("ada")["trigger"] == "signup"
        (catalogs / "recipes.yaml").write_text("id: [", encoding="utf-8")
        (catalogs / "sample.yaml").unlink()
        for number, victim in enumerate(("job", "gateway"), 2):
            os.kill(up.pid(victim), signal.SIGKILL)
            up.send(f"bob{number}", number, "signup", traits={"persona": "analyst"})
            assert up.recommendation(f"bob{number}")["userId"] == f"bob{number}", f"after the end of the {victim}"
        up.process.send_signal(signal.SIGINT)
        _, told = up.process.communicate(timeout=WITHIN)
        assert up.process.returncode == 0, told
        assert "exit code 1" not in told
