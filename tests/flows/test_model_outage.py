"""The model's server answers errors for a while, then is away for a while, and comes back: the job goes on, and does not storm it.

One job reads a pipe that the test feeds, so that what happens to the server happens between people, on real sockets.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from llm.limits.circuit_breaker import BreakerPolicy
from state.records.recommendation import redis_key
from tests.support.job_driver import Plan
from tests.support.job_runs import spawn
from tests.support.job_state import State, rows
from tests.support.model_jobs import EAGER, by_decision, decided, errands, records, unlike_redis, write_catalog
from tests.support.model_server import ModelServer, error, good
from tests.support.waiting import pause, running, wait_until

pytestmark = pytest.mark.slow  # a minute of real time: outages last, and so do cool-downs

_PATIENCE = 60.0
_RATE = 20.0
_EACH = 20
"""People of a phase: several times the breaker's failures in a row."""

_APART = 0.2
"""Seconds between two people during an outage."""

_CALL = 2.0
"""Seconds that a call with all its attempts takes at most: so long calls begin before the first are known to have failed."""

COOLDOWN = BreakerPolicy().cooldown_seconds
FAILURES = BreakerPolicy().failures_in_a_row
ATTEMPTS = 3
PHASES = ("up", "errors", "back", "closed", "again")


class Outage:
    """What the job left, how many requests came in each phase, and what the job logged."""

    def __init__(self, directory: Path) -> None:
        self.requests: dict[str, list[float]] = {}
        catalog = write_catalog(directory / "catalog.yaml", holdout=0.0, rules=0.0, **EAGER)
        dump = directory / "dump"
        settings: dict[str, Any] = {
            "catalog": str(catalog),
            "data_dir": str(directory / "data"),
            "llm_model": "scripted",
            "llm_timeout_seconds": 2.0,
            "llm_calls_per_second": _RATE,
            "llm_daily_tokens": 10**9,
            "epoch_seconds": 0.5,
        }
        with ModelServer(good()) as server:
            settings["llm_url"] = server.url
            with running(spawn(Plan(settings, "-", dump=str(dump)), subprocess.PIPE)) as process:
                self._play(process, server)
                said, complained = process.communicate(timeout=_PATIENCE)
        assert process.returncode == 0, complained[-4000:]
        self.log = complained
        self.summary = json.loads(said)["summary"]
        self.state: State = json.loads(dump.read_text())

    def _play(self, process: subprocess.Popen[str], server: ModelServer) -> None:
        for number, phase in enumerate(PHASES):
            before = len(server.requests)
            if phase == "errors":
                server.script = error(500)
            elif phase == "closed":
                server.stop()
            else:
                server.script = good()
                if phase == "again":
                    server.start()
            if phase in ("back", "again"):
                pause(COOLDOWN + 0.5, "the breaker lets one call try")
            self._feed(process, number)
            due = {"up": _EACH, "errors": FAILURES, "back": 1, "again": 1}.get(phase, 0)
            _wait_for(server, process, before + due)
            pause(_CALL, "what is in flight comes back, and retries end")
            self.requests[phase] = [request.arrived for request in server.requests[before:]]

    @staticmethod
    def _feed(process: subprocess.Popen[str], phase: int) -> None:
        assert process.stdin is not None
        for person in range(_EACH):
            for line in errands(phase * _EACH + person, 1):
                process.stdin.write(line.decode())
            process.stdin.flush()
            apart = _APART if PHASES[phase] in ("errors", "closed") else 0.05
            pause(apart if person else 1.0, "people come one after another; the first call of a phase may be the breaker's trial")


def _wait_for(server: ModelServer, process: subprocess.Popen[str], count: int) -> None:
    wait_until(lambda: len(server.requests) >= count, f"request {count} at the model", within=_PATIENCE, process=process)


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Outage:
    return Outage(tmp_path_factory.mktemp("outage"))


def phase_of(row: dict[str, Any]) -> str:
    return PHASES[int(row["user_id"].split("-")[1]) // _EACH]


def test_no_recommendation_is_missed(outage: Outage) -> None:
    state = outage.state
    templates = {row["decision_id"] for row in rows(state, "recommendations") if row["source"] == "template"}
    assert templates == decided(state).keys() == by_decision(state, "llm_calls").keys()
    assert len(templates) == _EACH * len(PHASES)
    assert {record["key"] for record in records(state)} == {redis_key("default", f"user-{each}") for each in range(_EACH * len(PHASES))}
    assert not unlike_redis(state)


def test_texts_come_while_the_model_is_well_and_templates_stay_while_it_is_not(outage: Outage) -> None:
    reasons: dict[str, Counter[str]] = {phase: Counter() for phase in PHASES}
    for row in rows(outage.state, "llm_calls"):
        reasons[phase_of(row)][row["reason"]] += 1
    assert reasons["up"][""] == _EACH, reasons
    for phase, reason in (("errors", "server_error"), ("closed", "unreachable")):
        assert reasons[phase].keys() == {reason, "breaker_open"}, reasons
        assert reasons[phase]["breaker_open"] >= _EACH - FAILURES - _CALL / _APART > 0, reasons
    for phase in ("back", "again"):
        assert reasons[phase].keys() <= {"", "breaker_open"}, reasons
        assert reasons[phase][""] >= _EACH * 0.75, reasons


def test_the_breaker_opens_and_closes_with_each_outage(outage: Outage) -> None:
    states = [line.split("breaker ")[1].split(",")[0] for line in outage.log.splitlines() if "breaker" in line]
    assert states == ["open", "half_open", "closed"] * 2, outage.log


def test_a_server_that_fails_or_comes_back_is_not_stormed(outage: Outage) -> None:
    down = outage.requests["errors"]
    assert FAILURES <= len(down) <= (FAILURES + _CALL / _APART) * ATTEMPTS, "those that opened the breaker, and those in flight then"
    assert not outage.requests["closed"]
    for phase in ("back", "again"):
        arrived = outage.requests[phase]
        for begin in arrived:
            within = sum(begin <= each < begin + 1.0 for each in arrived)
            assert within <= 2 * _RATE, f"{within} requests in a second"
        assert len(arrived) <= _EACH + ATTEMPTS
