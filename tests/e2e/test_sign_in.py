"""Anonymous browsing, then sign-in on another device, all through the gateway: one person, one group, nothing counted twice."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flows.catalogs import load_catalog
from gateway.group_commit import GroupCommitLog
from gateway.tokens import mint
from local.clickhouse import EmbeddedClickHouse
from local.valkey import published_url
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.migrate import migrate
from sources.errors import LogError
from sources.local_log.log import EventLog
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.decision.experiment_groups import experiment_draw
from state.ids import Keys
from tests.cli.command import onramp, start
from tests.support.gateway import Gateway, run_gateway
from tests.support.job_state import deliver_rest
from tests.support.waiting import PATIENCE, running, wait_until

SECRET = "a secret for the end-to-end tests"
WITHIN = 180.0
"""Seconds for a job to start and to catch up, on a machine that does other work."""
CATALOG = load_catalog("saas")
FACTS = """
SELECT 'person' AS kind, user_id, concat(experiment_group, ' ', path_id, ' ', toString(steps_completed)) AS told FROM people_final
UNION ALL SELECT 'step', user_id, concat(step_id, ' ', status, ' ', toString(attempts), ' ', toString(errors)) FROM step_progress_final
UNION ALL SELECT 'event', user_id, concat(event_id, ' ', toString(status)) FROM events_final
UNION ALL SELECT 'decision', user_id, concat(trigger, ' ', outcome, ' ', experiment_group, ' ', arm) FROM decisions_final
UNION ALL SELECT 'counted', '', concat(experiment_group, ' ', toString(people)) FROM experiment_groups
"""


def group_of(name: str) -> str:
    """The group of somebody whose first id is ``name``."""
    draw = experiment_draw("default", name)
    return "holdout" if draw < CATALOG.holdout else "rules" if draw < CATALOG.holdout + CATALOG.rules else "adaptive"


def named(what: str, group: str) -> str:
    """An id of this group."""
    return next(name for number in range(1000) if group_of(name := f"{what}-{number}") == group)


LAPTOP, PHONE, ANA = named("laptop", "adaptive"), named("phone", "rules"), named("ana", "holdout")


class Story:
    """What happens, told to a gateway. Everything is sent twice, as an SDK does that did not get the answer."""

    def __init__(self, gateway: Gateway, secret: str, key_id: str) -> None:
        self.gateway = gateway
        self.page, self.server = gateway.key("publishable"), gateway.key("server")
        self.token = mint(secret, key_id=key_id, tenant="default", user=ANA, now=time.time(), seconds=900)
        self.ids: list[str] = []

    def send(self, kind: str, *, key: str, user: str | None = None, visitor: str | None = None, **payload: Any) -> None:
        event_id = f"e{len(self.ids)}"
        self.ids.append(event_id)
        sender = {"userId": user} if user else {"anonymousId": visitor}
        event = {"eventId": event_id, **sender, "eventType": kind, "timestamp": datetime.now(UTC).isoformat(), "payload": payload}
        for _ in range(2):
            assert self.gateway.post("/v1/events", event, key=key).status_code == 202

    def browse(self) -> None:
        """The laptop, signed out: the pages complete the first step."""
        for path in ("/pricing", "/sample/overview", "/sample/sales"):
            self.send("page_view", key=self.page, visitor=LAPTOP, path=path)
        self.send("error", key=self.page, visitor=LAPTOP, code="source_unreachable", target="source_form")

    def sign_in(self) -> None:
        """The phone, where Ana signs up and in."""
        self.send("page_view", key=self.page, visitor=PHONE, path="/sample/overview")
        wait_until(partial(self.progress, PHONE), "the progress of the phone", within=WITHIN)
        self.send("identity_merged", key=self.token, user=ANA, previousId=PHONE)
        self.ids += ["start"]
        for _ in range(2):
            body = {"eventId": "start", "traits": {"persona": "executive"}}
            assert self.gateway.post("/v1/onboarding/start", body, key=self.token).status_code in {200, 202}

    def sign_in_again(self) -> None:
        """The laptop, where she signs in later: the page tells Segment's way, and goes on under the old id for a moment."""
        self.ids += ["alias"]
        for _ in range(2):
            alias = {"messageId": "alias", "userId": ANA, "previousId": LAPTOP, "timestamp": datetime.now(UTC).isoformat()}
            assert self.gateway.post("/v1/alias", alias, key=self.server).status_code == 200
        self.send("error", key=self.page, visitor=LAPTOP, code="source_unreachable", target="source_form")

    def complete(self) -> None:
        """A step that the server knows of. It is the last event, and progress shows that it was read."""
        self.ids += ["done"]
        for _ in range(2):
            body = {"eventId": "done", "userId": ANA, "step": LAST_STEP}
            assert self.gateway.post("/v1/onboarding/step/complete", body, key=self.server).status_code in {200, 202}

    def progress(self, user: str = ANA) -> dict[str, str]:
        """The steps of a user or visitor."""
        answer = self.gateway.get(f"/v1/users/{user}/progress", key=self.server)
        return {step["id"]: step["status"] for step in answer.json()["steps"]} if answer.status_code == 200 else {}


PATH = next(path for path in CATALOG.paths if "executive" in str(path.match))
LAST_STEP = PATH.steps[1]


@contextmanager
def telling(directory: Path, data_dir: Path) -> Iterator[Story]:
    """A gateway on the event log in ``directory``, which reads what the job of ``data_dir`` publishes."""
    log = GroupCommitLog(EventLog(directory / "log"), acknowledge_seconds=PATIENCE, failures=(LogError,))

    def where() -> str | None:
        return published_url(data_dir / "valkey")

    with run_gateway(directory, redis_url=where, log=log, keys=Keys(SECRET.encode()), plans=ByTenant(Plan(CATALOG))) as gateway:
        key, secret = gateway.store.create("signing")
        yield Story(gateway, secret, key.id)


def settings(directory: Path, data_dir: Path) -> dict[str, str]:
    return {
        "ONRAMP_EVENT_LOG": str(directory / "log"),
        "ONRAMP_CATALOG": "saas",
        "ONRAMP_SECRET": SECRET,
        "ONRAMP_DATA_DIR": str(data_dir),
        "ONRAMP_EPOCH_SECONDS": "0.5",
    }


@contextmanager
def job(directory: Path, data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    with running(start("run", "--json", cwd=directory, **settings(directory, data_dir))) as process:
        yield process


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    _, complained = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, complained


def facts(directory: Path, data_dir: Path) -> dict[str, list[tuple[str, str]]]:
    """Kind of row → (user, what it says), sorted: with what the stopped job has left in its spool."""
    with closing(ClickHouse(embedded=EmbeddedClickHouse(data_dir / "clickhouse"))) as store:
        migrate(store)
        deliver_rest(data_dir / "spool", store)
    found = onramp("sql", FACTS, "--json", cwd=directory, **settings(directory, data_dir))
    assert found.code == 0, found.err
    rows: dict[str, list[tuple[str, str]]] = {}
    for row in json.loads(found.out)["rows"]:
        rows.setdefault(row["kind"], []).append((row["user_id"], row["told"]))
    return {kind: sorted(each) for kind, each in rows.items()}


def of_ana(found: dict[str, list[tuple[str, str]]]) -> dict[str, list[tuple[str, str]]]:
    """What must be the same in every run.

    A run that reads the partition with the sign-in before that of the device records the device's events under Ana's id at once, so whose
    name an event has, and what a visitor had alone, may differ. An event that was on its way to the visitor when the merge came has the
    status `merged`, and Ana has it all the same.
    """
    same = {kind: [row for row in rows if row[0] in {ANA, ""}] for kind, rows in found.items()}
    return {**same, "event": sorted(("", told.replace(" merged", " applied")) for _, told in found["event"])}


def is_one_person(found: dict[str, list[tuple[str, str]]], story: Story) -> None:
    """Check what must hold however the job came to it."""
    assert found["counted"] == [("", "rules 1")], "one person, in the group of the first id"
    people = dict(found["person"])
    assert people.pop(ANA) == f"rules {PATH.id} 2"
    assert {told.split()[0] for told in people.values()} == {"merged"}
    assert sorted(told for _, told in found["event"]) == sorted(f"{each} applied" for each in story.ids), "each event once"
    assert {told.split()[2] for user, told in found["decision"] if user == ANA} == {"rules"}
    done = [told.split()[0] for user, told in found["step"] if user == ANA and told.split()[1] == "completed"]
    assert done == sorted({"tour_sample", LAST_STEP})


def test_who_browsed_and_signs_in_elsewhere_is_one_person(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with telling(tmp_path, data_dir) as story, job(tmp_path, data_dir) as process:
        story.browse()
        story.sign_in()
        story.sign_in_again()
        story.complete()
        wait_until(lambda: story.progress().get(LAST_STEP) == "done", "the last event", within=WITHIN, process=process)
        assert story.progress()["tour_sample"] == "done", "done before anybody signed in"
        stop(process)
        is_one_person(facts(tmp_path, data_dir), story)


@pytest.mark.slow
def test_it_is_the_same_after_kills_and_after_a_replay(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with telling(tmp_path, data_dir) as story:
        for act, user in ((story.browse, LAPTOP), (story.sign_in, ANA), (story.sign_in_again, ANA)):
            with job(tmp_path, data_dir) as process:
                wait_until(lambda: published_url(data_dir / "valkey"), "the start of the job", within=WITHIN, process=process)
                act()
                wait_until(partial(story.progress, user), f"the progress of {user}", within=WITHIN, process=process)
                process.kill()
                process.communicate(timeout=PATIENCE)
        with job(tmp_path, data_dir) as process:
            story.complete()
            wait_until(lambda: story.progress().get(LAST_STEP) == "done", "the last event", within=WITHIN, process=process)
            stop(process)
        killed = facts(tmp_path, data_dir)
        is_one_person(killed, story)
    anew = tmp_path / "anew"
    with telling(tmp_path, anew) as reader, job(tmp_path, anew) as process:
        wait_until(lambda: reader.progress().get(LAST_STEP) == "done", "the same progress", within=WITHIN, process=process)
        stop(process)
    assert of_ana(facts(tmp_path, anew)) == of_ana(killed)
