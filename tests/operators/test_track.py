"""track: a batch is folded in the order of the input, and each key is a person of its own."""

from __future__ import annotations

import msgspec

from operators.track import TrackLogic
from state.decision.messages import DecisionRequest
from state.duration import HOUR
from state.person import snapshot
from tests.operators.track_job import Job
from tests.state.lives import (
    KEYS,
    Life,
    event,
    kinds,
    of_kind,
    signup,
)


def test_it_does_what_the_fold_does() -> None:
    job, life = Job(), Life()
    events = [signup(), event("form_submit", HOUR, form="connect"), event("user_deleted", 2 * HOUR)]
    for each in events:
        job.see(each)
    life.see(*events)
    assert [type(each) for each in job.outputs] == [type(each) for each in life.outputs]
    assert snapshot.decode(job.logic.snapshot()) == life.person


def test_a_batch_is_taken_in_the_order_of_the_input_however_it_came() -> None:
    events = [msgspec.structs.replace(each, seq=2 * at) for at, each in enumerate([signup(), event("recommendation_shown", 1)])]
    assert kinds(Job().take(*reversed(events))) == kinds(Job().take(*events)) == ["shown"]


def test_asks_carry_who_and_when_so_that_they_can_be_ordered() -> None:
    job = Job()
    (ask,) = of_kind(job.take(msgspec.structs.replace(signup(), seq=40)), DecisionRequest)
    assert (ask.seq, ask.key, ask.number) == (40, KEYS.stream_key("t", "u"), 1)


def test_two_keys_share_a_builder_and_nothing_else() -> None:
    job = Job()
    other = job.build(None)
    assert isinstance(other, TrackLogic)
    job.see(signup())
    other.on_batch([signup(user="v")])
    assert [snapshot.decode(each.snapshot()).user for each in (job.logic, other)] == ["u", "v"]
