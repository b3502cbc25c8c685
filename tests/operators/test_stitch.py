"""stitch: what a visitor did before signing in counts once for the user that the visitor turns out to be."""

from __future__ import annotations

import msgspec
import pytest

from operators.stitch import Addressed, Stitching, stitching
from state.duration import DAY, HOUR
from state.events import Event
from state.person.arrivals import VisitorMerged
from state.person.snapshot import SnapshotError
from state.person.visitor import KEPT, Visitor
from state.person.visitor import decode as read
from tests.state.lives import KEYS, START, Life, event, plan, signup

OLD, NEW = KEYS.stream_key("t", "cookie"), KEYS.stream_key("t", "ana")


def visit(kind: str, at: int, **payload: object) -> Event:
    made = event(kind, at, user="cookie", **payload)  # type: ignore[arg-type]  # a payload
    return msgspec.structs.replace(made, anonymous=True)


def merged(at: int) -> Merged:
    return VisitorMerged("t", "cookie", "ana", START + at, START + at, 2, 77)


def step(logic: Stitching, *arrivals: Event | VisitorMerged) -> list[Addressed]:
    lists, discard = logic.on_batch([(OLD, each) for each in arrivals])
    assert discard is False
    return [each for passed in lists for each in passed]


def test_a_visitors_evidence_is_handed_on_under_the_users_key_at_the_merge() -> None:
    logic = stitching(plan(), KEYS)(None)
    seen = [visit("form_submit", 1, form="connect"), visit("page_view", 2, path="/pricing")]
    assert step(logic, *seen) == [(OLD, each) for each in seen]
    (_, merge), (key, event) = step(logic, merged(HOUR))
    assert isinstance(merge, VisitorMerged)
    assert isinstance(event, Event)
    assert key == NEW
    assert (event.user, event.anonymous, event.stitched, event.timestamp) == ("ana", False, True, START + 1)
    assert (event.log_time, event.seq, event.partition) == (START + HOUR, 77, 2)


def test_it_is_handed_on_once() -> None:
    logic = stitching(plan(), KEYS)(None)
    step(logic, visit("form_submit", 1, form="connect"), merged(HOUR))
    assert len(step(logic, merged(2 * HOUR))) == 1


def test_what_the_device_still_sends_under_its_old_id_follows() -> None:
    logic = stitching(plan(), KEYS)(None)
    step(logic, merged(HOUR))
    ((key, event),) = step(logic, visit("form_submit", 2 * HOUR, form="connect"))
    assert isinstance(event, Event)
    assert (key, event.user, event.stitched) == (NEW, "ana", False)


def test_only_the_newest_evidence_is_kept() -> None:
    logic = stitching(plan(), KEYS)(None)
    step(logic, *(visit("form_submit", at, form="connect") for at in range(KEPT + 9)))
    handed_on = [each.timestamp for _, each in step(logic, merged(HOUR)) if isinstance(each, Event)]
    assert handed_on == [START + at for at in range(9, KEPT + 9)]


@pytest.mark.parametrize("at", range(4))
def test_a_restart_anywhere_changes_nothing(at: int) -> None:
    arrivals: list[Event | VisitorMerged] = [
        visit("form_submit", 1, form="connect"),
        visit("identify", 2, traits={"persona": "analyst"}),
        merged(3),
        visit("track", 4),
    ]
    plain, broken = stitching(plan(), KEYS)(None), stitching(plan(), KEYS)(None)
    for index, each in enumerate(arrivals):
        if index == at:
            broken = stitching(plan(), KEYS)(broken.snapshot())
        assert [passed for _, passed in step(broken, each)][1:] == [
            msgspec.structs.replace(passed, raw_payload=b"{}") if isinstance(passed, Event) else passed for _, passed in step(plain, each)
        ][1:]
    assert broken.snapshot() == plain.snapshot()


def test_a_visitor_who_asks_to_be_forgotten_is() -> None:
    logic = stitching(plan(), KEYS)(None)
    step(logic, visit("identify", 1, traits={"persona": "analyst"}), visit("user_deleted", 2))
    assert read(logic.snapshot()) == Visitor()
    assert len(step(logic, merged(HOUR))) == 1


def test_what_a_visitor_did_counts_for_the_user_even_if_it_is_older_than_the_bound() -> None:
    logic, life = stitching(plan(), KEYS)(None), Life()
    step(logic, visit("form_submit", 0, form="connect"))
    life.see(signup(9 * DAY))
    life.see(*(each for _, each in step(logic, merged(9 * DAY)) if isinstance(each, Event)))
    assert life.done == {"connect": 0}


def test_a_damaged_snapshot_of_a_visitor_is_refused_in_words() -> None:
    data = stitching(plan(), KEYS)(None).snapshot()
    with pytest.raises(SnapshotError, match="version 09"):
        read(b"\x09" + data[1:])
    with pytest.raises(SnapshotError, match="damaged"):
        read(data[:1])
