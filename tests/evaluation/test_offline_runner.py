"""Runs without the job: when something is due, and when it is said to have happened."""

from __future__ import annotations

from typing import Any

import pytest

from evaluation.integrity import check
from evaluation.offline_runner import OfflineRunner
from state.catalog.plan import Plan
from state.duration import DAY, HOUR, MINUTE
from state.messages import Message
from state.records.facts import OutcomeFact
from tests.state import lives
from tests.support.memory_job import KEYS, PLAN
from tests.support.stories import MONDAY, Log


def test_a_switch_of_guidance_is_due_next_whether_or_not_somebody_has_a_timer() -> None:
    job, log = OfflineRunner(PLAN, KEYS), Log()
    assert job.next_timer() is None
    log.send(0, "boss", "guidance_switched", action="pause", because="a test")
    log.send(DAY, "ana", "signup", traits={})
    log.send(DAY + 1, "boss", "guidance_switched", action="ramp", share=0.5, because="a test")
    paused, begun, ramped = (item for item in log.items if isinstance(item, Message))
    job.message(paused)
    assert job.next_timer() == MONDAY + 1, "nobody else has a timer"
    job.tick(MONDAY + 1, 3)
    job.message(begun)
    due = job.next_timer()
    assert due is not None
    assert due > MONDAY + DAY + 2
    job.message(ramped)
    assert job.next_timer() == MONDAY + DAY + 2, "ana has a later timer"
    job.tick(MONDAY + DAY + 2, 9)
    assert job.next_timer() == due


def offline_phone(window: str, *later: tuple[int, str, dict[str, Any]]) -> OfflineRunner:
    """Guidance was shown after five minutes, which is known after six hours; ``later`` events arrive at once, the last after two days."""
    short = lives.catalog(change=lambda text: text.replace("attribution_window: 24h", f"attribution_window: {window}"))
    job, log = OfflineRunner(Plan(short), KEYS), Log()
    log.send(0, "ana", "signup", traits={"persona": "analyst"})
    log.send(6 * HOUR, "ana", "recommendation_shown", timestamp=5 * MINUTE)
    for at, kind, payload in (*later, (2 * DAY, "page_view", {"path": "/"})):
        log.send(at, "ana", kind, **payload)
    for item in log.items:
        if isinstance(item, Message):
            while (due := job.next_timer()) is not None and due <= item.log_time:
                job.tick(due, item.seq - 1)
            job.message(item)
    return job


@pytest.mark.parametrize("window", ["4h", "24h"])
def test_a_failure_is_dated_at_the_end_of_the_window_however_late_the_showing_is_known(window: str) -> None:
    job = offline_phone(window)
    ends = [(each.kind, each.occurred_at - MONDAY) for each in job.facts(OutcomeFact) if each.kind in ("success", "failure")]
    assert ends[0] == ("failure", 5 * MINUTE + (4 if window == "4h" else 24) * HOUR)
    assert [each for each in check(job.evidence()) if not each.ok] == []


def test_a_completion_within_the_window_that_the_log_brings_after_its_end_is_a_success() -> None:
    done = (6 * HOUR + MINUTE, "form_submit", {"form": "connect", "timestamp": 3 * HOUR})
    job = offline_phone("4h", done)
    ends = [(each.kind, each.occurred_at - MONDAY) for each in job.facts(OutcomeFact) if each.kind in ("success", "failure")]
    assert ends == [("success", 3 * HOUR)]
    assert [each for each in check(job.evidence()) if not each.ok] == []
