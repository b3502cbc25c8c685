"""One data directory lives longer than one catalog, and than one release: what was written down under another one harms nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from state.catalog.parse import parse
from state.catalog.plan import Plan
from state.decision.messages import DecisionRequest
from state.decode import decode
from state.duration import DAY, HOUR
from state.event import Event
from state.messages import Message
from state.person import snapshot
from state.records.facts import DecisionFact, PersonFact, ProgressFact, SignalFact
from state.stuck.estimator import new_estimator, restore_estimator
from state.stuck.observations import COMPLETED, EpisodeObservation
from state.stuck.parameters import PERIOD
from state.stuck.row import Row, pack
from tests.state.lives import START, Life, catalog, declined, event, of_kind, plan, signals, signup, track


def without_connect(text: str) -> str:
    """The small catalog when the step ``connect`` is gone from it."""
    head, tail = text.split("  - id: connect\n")
    return (
        (head + tail[tail.index("  - id: explore\n") :])
        .replace("requires: [connect]", "requires: []")
        .replace("connect, ", "")
        .replace(", connect]", "]")
    )


def off_the_path(text: str) -> str:
    """The small catalog when analysts need not connect any more, though others do."""
    return text.replace("steps: [connect, explore, invite, share], activated_by: [connect, explore]", "steps: [invite]").replace(
        "id: pros, title: Pros, match: {pro: true}, steps: [invite, connect, explore, share]",
        "id: pros, title: Pros, match: {pro: true}, steps: [connect, explore, invite, share]",
    )


@pytest.mark.parametrize(("change", "step"), [(without_connect, "explore"), (off_the_path, "invite")])
@pytest.mark.parametrize("awake", [True, False])
def test_a_person_at_a_step_that_a_new_catalog_has_not_goes_on_at_one_that_it_has(change: object, step: str, awake: bool) -> None:
    before = Life()
    before.see(signup())
    life = Life(Plan(catalog(change=change)), before.person)  # type: ignore[arg-type]
    life.reload()
    if awake:
        life.see(*(event("error", HOUR + each, code="source_gone") for each in range(5)))
    else:
        life.wait(DAY)
    person = life.person
    assert person is not None
    assert person.episode is not None
    assert person.episode.step == step
    assert step in person.since
    assert of_kind(life.outputs, ProgressFact)
    life.wait(30 * DAY)
    assert {signal.step_id for signal in of_kind(life.outputs, SignalFact)} <= {step}
    assert not [lesson for lesson in of_kind(life.outputs, EpisodeObservation) if lesson.step == step], "nobody has seen its beginning"


@pytest.mark.parametrize("change", [without_connect, off_the_path])
@pytest.mark.parametrize("acts", [(), ("connected",), ("connected", "explored", "explored", "explored")])
def test_all_steps_of_the_path_are_written_anew_when_a_person_meets_another_catalog(change: object, acts: tuple[str, ...]) -> None:
    """So older rows are of steps that left the path, also of those where the person never was."""
    before = Life()
    before.see(signup(), *(track(name, HOUR + at) for at, name in enumerate(acts)))
    life = Life(Plan(catalog(change=change)), before.person)  # type: ignore[arg-type]
    told = of_kind(life.see(event("page_view", DAY, path="/")), ProgressFact)
    (marker,) = (each for each in told if each.status == "catalog_changed")
    assert (marker.path_id, marker.step_id) == ("", "")
    assert marker.version > max(each.version for each in before.of(ProgressFact))
    written = {each.step_id for each in told if each.version >= marker.version and each.step_id}
    assert written == set(life.plan.paths["analysts"].steps)
    assert not [each for each in of_kind(life.see(event("page_view", 2 * DAY, path="/")), ProgressFact) if not each.step_id]


def test_whoever_was_written_down_before_there_were_episodes_is_looked_after_again() -> None:
    before = Life()
    before.see(signup())
    assert before.person is not None
    life = Life(person=msgspec.structs.replace(before.person, episode=None, rhythm=None, check_due=0, catalog=0))
    life.reload()
    life.see(event("page_view", HOUR, path="/"))
    assert life.person is not None
    assert life.person.episode is not None
    assert life.person.episode.step == "connect"
    life.wait(DAY)
    assert [signal.step_id for signal in of_kind(life.outputs, SignalFact)] == ["connect"]


def test_an_activated_person_is_left_alone() -> None:
    life = Life()
    life.see(signup(), event("track", HOUR, name="connected"), *(event("track", 2 * HOUR + each, name="explored") for each in range(3)))
    assert life.person is not None
    assert life.person.activated_at
    life.see(event("page_view", 3 * HOUR, path="/"))
    assert (life.person.episode, life.person.check_due) == (None, 0)


def ended(step: str, since: int, lasted: int, rows: tuple[Row, ...] = ()) -> EpisodeObservation:
    """A step that was completed."""
    horizon = 2 * DAY
    return EpisodeObservation(
        tenant="t", step=step, end=COMPLETED, at=since + lasted, since=since, horizon=horizon, lasted=lasted, rows=rows
    )


def test_what_was_learned_of_a_step_that_is_gone_stops_nothing() -> None:
    estimator = new_estimator(plan(), "t")
    since = START // PERIOD * PERIOD
    rows = (Row(1, 0.5, 0.0, 0.5, pack((5,))),)
    for number in range(20):
        estimator.learn(ended("connect", since + number, HOUR, rows))
    later = restore_estimator(lambda _tenant: Plan(catalog(change=without_connect)), estimator.encode())
    for period in range(1, 20):
        at = since + period * PERIOD
        later.learn(ended("explore", at, HOUR))
    assert set(later.parameters(10**9).horizons) == {"explore", "invite", "share"}


def test_partial_evidence_belongs_to_its_matcher_and_not_to_its_place_in_the_list() -> None:
    """Two of three invoices were created; then a completion by two imports is put before it, and one invoice is imported."""
    inputs = Path(__file__).parent.parent / "inputs"

    def said(name: str) -> list[Event]:
        lines = (inputs / f"catalog_change_{name}.jsonl").read_bytes().splitlines()
        found = [decode(Message(line, None, name, 0, number, START, START + DAY, number)) for number, line in enumerate(lines)]
        return [msgspec.structs.replace(each, log_time=each.timestamp) for each in found if isinstance(each, Event)]

    def under(name: str) -> Plan:
        return Plan(parse((inputs / f"catalog_change_{name}.yaml").read_text(encoding="utf-8"), name))

    before = Life(under("before"))
    before.see(*said("before"))
    assert before.person is not None
    kept = snapshot.encode(before.person)
    life = Life(under("after"), snapshot.decode(kept))
    life.see(*said("after"))
    assert set(life.done) == {"company"}
    life.see(track("invoice_imported", 3 * HOUR, user="ana"))
    assert life.done["first_invoice"] == 3 * HOUR, "the second import, and its own time"
    other = Life(under("after"), snapshot.decode(kept))
    other.see(*said("after"), track("invoice_created", 4 * HOUR, user="ana"))
    assert other.done["first_invoice"] == 4 * HOUR, "the third creation"


def starting(rule: str, *, observe: bool = False) -> Plan:
    """The small catalog with this ``starts``; none for the empty text. Version 1 observes, version 2 guides."""
    lines = (["observe: true"] if observe else []) + ([f"starts: {rule}"] if rule else [])
    version = f"version: {1 if observe else 2}"
    return Plan(catalog(change=lambda text: text.replace("version: 1", "\n".join([version, *lines]))))


AFTER = "{when: signup, after: '2026-03-05'}"
"""Three days after the beginning."""


def went_live(*before: Event, first: str = "") -> Life:
    """A life of whom a catalog that observes saw the events ``before``, under the next one."""
    observed = Life(starting(first, observe=True))
    observed.see(*before)
    life = Life(starting(AFTER), observed.person)
    life.reload()
    return life


def groups(life: Life) -> set[str]:
    return {row.experiment_group for row in life.of(PersonFact)}


@pytest.mark.parametrize("first", ["", "{when: signup}"])
def test_who_began_under_an_earlier_catalog_stays_counted_and_is_not_guided_by_one_that_leaves_them_out(first: str) -> None:
    life = went_live(signup(), track("connected", HOUR), first=first)
    before = life.person.entered_under if life.person is not None else ""
    life.see(event("page_view", 9 * DAY, path="/"), *(track("explored", 9 * DAY + each) for each in range(1, 4)))
    life.see(*(event("error", 9 * DAY + HOUR + each, code="source_gone") for each in range(5)))
    life.wait(60 * DAY)
    assert groups(life) == {"adaptive"}
    assert set(declined(life.outputs)) <= {"existing_person", "activated"}
    assert not life.of(DecisionRequest)
    assert signals(life.outputs), "who is counted is judged, and so raises alarms"
    assert {row.entered_under for row in life.of(PersonFact)} == {before}
    assert [row.step_id for row in life.of(ProgressFact) if row.current_since_at and not row.completed_at], "it is in the funnel"


def test_the_decision_that_is_not_made_says_that_the_person_does_not_begin() -> None:
    life = went_live(signup(), track("connected", HOUR))
    rows = [
        row for row in life.see(track("invited", 9 * DAY), event("form_submit", 9 * DAY, form="invite")) if isinstance(row, DecisionFact)
    ]
    assert {(row.reason, row.experiment_group) for row in rows} == {("existing_person", "existing")}


@pytest.mark.parametrize("first", ["{when: signup}", AFTER])
def test_who_did_not_begin_under_an_earlier_catalog_does_not_count(first: str) -> None:
    life = went_live(event("page_view", 0, path="/connect"), *([signup(HOUR)] if first == AFTER else []), first=first)
    life.see(event("page_view", 9 * DAY, path="/"))
    assert groups(life) == {"existing"}


def test_who_begins_by_the_new_catalog_is_guided() -> None:
    life = went_live(event("page_view", 0, path="/connect"))
    assert [row.trigger for row in life.see(signup(9 * DAY)) if isinstance(row, DecisionRequest)] == ["signup"]
    assert groups(life) == {"adaptive"}


def test_who_meets_two_catalogs_that_leave_them_out_stays_counted() -> None:
    life = went_live(signup())
    life.see(event("page_view", 9 * DAY, path="/"))
    later = Life(starting("{when: signup, after: '2026-03-06'}"), life.person)
    later.reload()
    later.see(event("page_view", 10 * DAY, path="/"))
    assert groups(later) == {"adaptive"}


def test_a_person_of_an_earlier_release_had_begun_where_a_step_was_current() -> None:
    for rule, group in (("", "adaptive"), (AFTER, "existing")):
        observed = Life(starting(rule, observe=True))
        observed.see(signup())
        assert observed.person is not None
        observed.person.beginning = 0
        life = Life(starting("{when: signup, after: '2026-03-06'}"), observed.person)
        life.see(event("page_view", 9 * DAY, path="/"))
        assert groups(life) == {group}


def test_a_new_device_does_not_let_somebody_begin_who_began_under_an_earlier_catalog() -> None:
    """They would be compared with those whom the new catalog guides."""
    life = went_live(event("page_view", 0, path="/"))
    assert life.person is not None
    before = life.person.entered_under
    life.see(event("identity_merged", 9 * DAY, previousId="cookie"))
    assert {row.entered_under for row in life.of(PersonFact)} == {before}
    assert life.person.draw is None
