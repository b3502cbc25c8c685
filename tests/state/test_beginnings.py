"""Who begins the onboarding by ``starts``, and stays counted in their group whatever becomes of them."""

from __future__ import annotations

import msgspec
import pytest

from state.catalog.plan import Plan
from state.decision.messages import DecisionOutcome, DecisionRequest
from state.duration import DAY, HOUR, MINUTE
from state.event import Event
from state.person.person import NOT_BEGUN
from state.records.facts import PersonFact, StuckScoreFact
from state.stuck.observations import BEGUN, CENSORED, EpisodeObservation
from state.stuck.score import SHARES
from tests.state.lives import START, Life, catalog, declined, event, signals, signup, track


def starting(rule: str, *, holdout: float = 0) -> Plan:
    """The small catalog with this ``starts``."""
    return Plan(catalog(holdout, change=lambda text: text.replace("version: 1", f"version: 1\nstarts: {rule}")))


TRIAL = "{when: signup, match: {plan: trial}}"


def on_trial(at: int = 0) -> Event:
    return event("signup", at, traits={"persona": "analyst", "plan": "trial"})


def pays(at: int) -> Event:
    return event("identify", at, traits={"plan": "paid"})


def group(life: Life) -> str:
    return life.of(PersonFact)[-1].experiment_group


@pytest.mark.parametrize(("holdout", "drawn"), [(0, "adaptive"), (1, "holdout")])
def test_whose_traits_change_after_they_began_stays_in_their_group_and_is_not_guided(holdout: float, drawn: str) -> None:
    life = Life(starting(TRIAL, holdout=holdout))
    life.see(on_trial(), track("connected", HOUR), pays(3 * DAY))
    life.reload()
    asked = len(life.of(DecisionRequest))
    life.see(*(track("explored", 4 * DAY + each) for each in range(1, 3)))
    life.see(
        *(event("error", 4 * DAY + HOUR + each, code="source_gone") for each in range(5)), event("form_submit", 5 * DAY, form="invite")
    )
    life.wait(60 * DAY)
    assert group(life) == drawn
    assert len(life.of(DecisionRequest)) == asked
    assert declined(life.outputs)[-1] == "existing_person"


@pytest.mark.parametrize("done", [(), (track("connected", 2 * HOUR),)])
def test_whose_traits_change_after_they_began_still_raises_alarms_and_is_not_guided(done: tuple[Event, ...]) -> None:
    """Alarms are judged by everybody held out, these users too, at the step that they were at and at later ones."""
    held_out, guided = (Life(starting(TRIAL, holdout=holdout)) for holdout in (1, 0))
    for life in (held_out, guided):
        life.see(on_trial(), pays(HOUR), *done)
        life.wait(60 * DAY)
        assert signals(life.outputs) == ["stuck:inactive"]
        assert declined(life.outputs)[-1] == "existing_person"
        assert [each.trigger for each in life.of(DecisionRequest)] in ([], ["signup"])
    assert len(held_out.of(StuckScoreFact)) >= len(SHARES)


@pytest.mark.parametrize("holdout", [0, 1])
def test_who_turns_out_to_be_an_existing_user_raises_no_alarm_and_is_observed_no_more(holdout: float) -> None:
    """An old user opens the app: the page is there before their traits, and the path stays."""
    life = Life(starting("{match: {plan: {not_in: [paid]}}}", holdout=holdout))
    life.see(event("identify", traits={"persona": "analyst"}), pays(MINUTE), event("page_view", HOUR, path="/"))
    life.reload()
    life.wait(60 * DAY)
    assert group(life) == "existing"
    assert not [*signals(life.outputs), *declined(life.outputs), *life.of(StuckScoreFact)]
    assert [each.end for each in life.of(EpisodeObservation)] == [BEGUN, CENSORED]


def test_an_existing_user_whose_episode_an_earlier_release_kept_raises_no_alarm() -> None:
    life = Life(starting("{match: {plan: {not_in: [paid]}}}"))
    life.see(event("identify", traits={"persona": "analyst"}))
    assert life.person is not None
    life.person.beginning = NOT_BEGUN
    life.wait(60 * DAY)
    assert not [*signals(life.outputs), *life.of(StuckScoreFact)]
    assert life.of(EpisodeObservation)[-1].end == CENSORED
    assert life.person.episode is None


def test_an_existing_user_who_begins_after_all_may_be_stuck_where_they_were() -> None:
    life = Life(starting("{match: {plan: {not_in: [paid]}}}"))
    life.see(event("identify", traits={"persona": "analyst"}), pays(MINUTE), event("identify", HOUR, traits={"plan": "trial"}))
    assert life.person is not None
    assert life.person.episode is not None
    assert life.person.episode.onset == START
    life.wait(60 * DAY)
    assert group(life) == "adaptive"
    assert signals(life.outputs) == ["stuck:inactive"]


def test_the_outcome_of_guidance_from_before_the_change_is_that_of_the_group() -> None:
    life = Life(starting(TRIAL))
    life.see(on_trial(), event("recommendation_shown", MINUTE), pays(HOUR), track("connected", 2 * HOUR))
    assert [(each.kind, each.group) for each in life.of(DecisionOutcome)] == [("shown", "adaptive"), ("success", "adaptive")]


def test_whose_traits_are_known_before_guidance_is_considered_begins_by_them() -> None:
    life = Life(starting("{match: {plan: {not_in: [paid]}}}"))
    life.see(event("page_view", path="/"), pays(MINUTE), signup(HOUR))
    assert group(life) == "existing"


def test_an_older_device_does_not_take_a_user_out_who_was_considered() -> None:
    """Guidance may be why they signed in with it."""
    life = Life(starting("{after: '2026-03-01'}"))
    life.see(signup(), event("page_view", -5 * DAY, log=HOUR, path="/connect"))
    assert group(life) == "adaptive", "too late an event counts for nothing"
    visited = track("connected", -5 * DAY, log=HOUR)
    life.see(_from_visitor(visited))
    assert life.person is not None
    assert life.person.first_seen == visited.timestamp
    assert group(life) == "adaptive"


def test_who_matches_again_is_guided_again() -> None:
    life = Life(starting(TRIAL))
    life.see(on_trial(), pays(DAY), event("identify", 2 * DAY, traits={"plan": "trial"}), track("connected", 3 * DAY))
    assert life.ask.trigger == "step_completed"
    assert group(life) == "adaptive"


def test_who_did_not_begin_may_begin_later() -> None:
    life = Life(starting(TRIAL))
    life.see(signup())
    assert life.person is not None
    assert life.person.beginning == NOT_BEGUN
    life.see(event("identify", HOUR, traits={"plan": "trial"}))
    assert group(life) == "adaptive"


def _from_visitor(made: Event) -> Event:
    return msgspec.structs.replace(made, from_visitor=True, visitor_seen=made.timestamp)
