"""Runs without the job: when something is due."""

from __future__ import annotations

from evaluation.offline_runner import OfflineRunner
from state.duration import DAY
from state.messages import Message
from tests.flows.test_graph import KEYS, PLAN
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
