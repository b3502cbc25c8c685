"""Switches of guidance: what holds at which log time, for whom, and what becomes of guidance that is shown."""

from __future__ import annotations

from functools import partial
from itertools import pairwise, permutations

import msgspec
import pytest

from state.catalog.model import Starts
from state.catalog.plan import Plan
from state.decision import switches as switches_module
from state.decision.experiment_groups import draw_of, experiment_draw, experiment_group
from state.decision.messages import DecisionRequest
from state.decision.switches import HISTORY_CODEC, MOST_KEPT, History, Setting, Switches, ramp_draw
from state.duration import DAY, HOUR, MINUTE
from state.event import Event
from state.person.arrivals import GuidanceSwitched
from state.person.collector import Collector
from state.person.fold import Fold
from state.person.person import Person
from state.records.facts import PersonFact
from state.records.recommendation import Publish
from state.snapshot_codec import SnapshotError
from tests.state.lives import KEYS, START, Life, declined, event, flat, kinds, of_kind, plan, signup, track, withdrawals
from tests.support.interleaving import before_every_step, steps_of


def switch(action: str, at: int, *, share: float | None = None, partition: int = 0, ident: str = "") -> Event:
    payload = {"action": action} if share is None else {"action": action, "share": share}
    made = event("guidance_switched", at, ident=ident or f"{action} {at}", user="boss", **payload)
    return msgspec.structs.replace(made, partition=partition, seq=2 * at)


def history_of(*events: Event) -> History:
    history = History("t")
    for each in events:
        taken = history.take(each)
        history = history if taken is None else taken[0]
    return history


class Switched(Life):
    """A life under switches, each of which wakes the person as the job does."""

    def __init__(self, person: Person | None = None, holdout: float = 0) -> None:
        super().__init__(plan(holdout=holdout), person)
        self.switches = Switches()
        self.fold = Fold(self.plan, KEYS, None, self.switches)

    def switch(self, action: str, at: int, share: float | None = None) -> list[object]:
        self.switches.take(switch(action, at, share=share))
        return self.wake(at)

    def wake(self, at: int) -> list[object]:
        """Wake the person by the switch at ``at``."""
        if self.person is None:
            return []
        out = self._collector()
        self.fold.switched(self.person, GuidanceSwitched("t", self.person.partition, START + at + 1, self.seq), out)
        return self._keep(out)


# what holds


def test_a_switch_holds_for_what_comes_after_it_for_its_tenant_alone() -> None:
    switches, on, off = Switches(), Setting(), Setting(paused=True)
    switches.take(switch("pause", HOUR))
    places = [(0, 0), (HOUR, 2 * HOUR - 2), (HOUR, 2 * HOUR + 1), (HOUR, 2 * HOUR + 2), (HOUR + 1, 2 * HOUR + 4), (HOUR - 1, 2 * HOUR + 1)]
    assert [switches.at("t", 0, START + at, seq) for at, seq in places] == [on, on, off, off, off, on]
    assert switches.at("another", 0, START + DAY, 10**9) == on


def test_a_pause_keeps_the_share_and_a_ramp_keeps_the_pause() -> None:
    switches = Switches()
    turns = [("ramp", 0.2), ("pause", None), ("ramp", 0.5), ("resume", None), ("ramp", 1.0)]
    for number, (action, share) in enumerate(turns):
        switches.take(switch(action, number * HOUR, share=share))
    found = [switches.at("t", 0, START + number * HOUR + 1, 0) for number in range(len(turns))]
    assert found == [Setting(False, 0.2), Setting(True, 0.2), Setting(True, 0.5), Setting(False, 0.5), Setting(False, 1.0)]


def test_every_partition_has_the_time_of_its_own_copy_and_one_without_follows_the_earliest() -> None:
    switches = Switches()
    copies = [switch("pause", at, partition=partition, ident="p") for partition, at in ((0, HOUR), (1, 2 * HOUR))]
    for each in copies:
        switches.take(each)
    paused = {
        partition: [switches.at("t", partition, START + at, 0).paused for at in (HOUR, HOUR + 1, 2 * HOUR + 1)] for partition in range(3)
    }
    assert paused == {0: [False, True, True], 1: [False, False, True], 2: [False, True, True]}


def test_neither_the_order_of_arrival_nor_a_repetition_changes_what_holds() -> None:
    sent = [switch("pause", HOUR), switch("ramp", 2 * HOUR, share=0.3), switch("resume", 3 * HOUR), switch("pause", HOUR)]
    found = set()
    for order in permutations(sent):
        history = history_of(*order)
        times, settings = history.settings(0)
        found.add((*times, *settings))
    places = [(START + hour * HOUR, 2 * hour * HOUR) for hour in (1, 2, 3)]
    assert found == {(*places, Setting(), Setting(True), Setting(True, 0.3), Setting(False, 0.3))}


def test_of_many_switches_the_oldest_are_forgotten_and_what_they_left_is_kept() -> None:
    history = history_of(*(switch("ramp", number * HOUR, share=number / 1000) for number in range(3 * MOST_KEPT)))
    assert len(history.switches) == MOST_KEPT
    assert history.settings(0)[1][0] == Setting(False, (2 * MOST_KEPT - 1) / 1000)
    assert len(HISTORY_CODEC.encode(history)) < 6_000


def test_a_snapshot_gives_the_same_again() -> None:
    history, restored = history_of(switch("ramp", 1, share=0.5), switch("pause", 2, partition=1)), Switches()
    restored.restore(HISTORY_CODEC.encode(history))
    assert restored.at("t", 1, START + 3, 0) == Setting(True, 0.5)
    assert restored.at("t", 1, START + 2, 0) == Setting(False, 0.5)
    assert HISTORY_CODEC.decode(HISTORY_CODEC.encode(history)) == history
    for damaged in (b"", b"\x63", HISTORY_CODEC.encode(history)[:-1]):
        with pytest.raises(SnapshotError):
            HISTORY_CODEC.decode(damaged)


def test_a_question_while_a_switch_is_taken_has_the_answer_from_before_or_after_it() -> None:
    """Workers are threads: any of them may ask between any two steps of the one that takes a switch."""
    first = [switch("pause", 0), *(switch("ramp", number * HOUR, share=number / 1000) for number in range(1, MOST_KEPT))]
    places = [(partition, START + hour * HOUR + 1) for partition in (0, 1) for hour in (0, 1, MOST_KEPT)]

    def answers(switches: Switches) -> list[Setting]:
        return [switches.at("t", *place, 0) for place in places]

    for known in ([], first[1:2], first):  # the oldest of more than there may be is dropped
        for taken in (switch("ramp", 9 * HOUR, share=0.7), *(msgspec.structs.replace(each, partition=1) for each in known[-1:])):
            data, asked = HISTORY_CODEC.encode(history_of(*known)), list[list[Setting]]()
            for step in range(steps_of(partial(knowing(data).take, taken), switches_module)):
                switches = knowing(data)

                def ask(now: int, step: int = step, switches: Switches = switches, asked: list[list[Setting]] = asked) -> None:
                    if now == step:
                        asked.append(answers(switches))

                before_every_step(partial(switches.take, taken), switches_module, ask)
                asked.append(answers(switches))
            before, after = answers(knowing(data)), answers(knowing(HISTORY_CODEC.encode(history_of(*known, taken))))
            assert len(asked) > 100
            assert all(each in allowed for found in asked for each, allowed in zip(found, zip(before, after, strict=True), strict=True))
            assert asked[1::2] == [after] * (len(asked) // 2), "the question left nothing behind"


def knowing(data: bytes) -> Switches:
    made = Switches()
    made.restore(data)
    return made


# whom


def test_a_larger_share_only_adds_people_and_a_share_is_that_of_the_people() -> None:
    draws = [ramp_draw(experiment_draw("t", f"u{number}")) for number in range(4000)]
    inside = [{number for number, draw in enumerate(draws) if not Setting(False, share).reason(draw)} for share in (0, 0.1, 0.3, 0.9, 1)]
    assert all(few < more for few, more in pairwise(inside))
    assert [len(each) / 4000 for each in inside] == pytest.approx([0, 0.1, 0.3, 0.9, 1], abs=0.02)


def test_the_share_is_the_same_in_every_group() -> None:
    """Else leaving out those outside would not leave out the same people in every group."""
    draws = [experiment_draw("t", f"u{number}") for number in range(8000)]
    for low in (0.0, 0.25, 0.5, 0.75):
        group = [ramp_draw(draw) < 0.4 for draw in draws if low <= draw < low + 0.25]
        assert sum(group) / len(group) == pytest.approx(0.4, abs=0.04)


def test_a_visitor_who_becomes_a_user_stays_inside_or_outside() -> None:
    for number in range(20):
        visitor, user = Person("t", f"cookie-{number}"), Switched()
        user.see(event("identity_merged", 0, user=f"u{number}", previousId=f"cookie-{number}"))
        assert user.person is not None
        assert draw_of(user.person) == draw_of(visitor)


# what becomes of it


@pytest.mark.parametrize(("action", "share", "reason"), [("pause", None, "guidance_paused"), ("ramp", 0.0, "outside_ramp")])
@pytest.mark.parametrize("holdout", [0, 0.9])
def test_whoever_may_not_be_guided_is_told_why_whatever_their_group(action: str, share: float | None, reason: str, holdout: float) -> None:
    life = Switched(holdout=holdout)
    life.switch(action, 0, share)
    life.see(signup(MINUTE))
    assert declined(life.outputs) == [reason]
    assert not life.of(DecisionRequest)
    assert life.of(PersonFact)[-1].guidance_at_signup == reason


def test_without_a_sign_up_the_first_event_says_whether_guidance_was_on_and_a_sign_up_says_it_anew() -> None:
    life = Switched()
    life.switch("pause", 0)
    life.see(event("page_view", MINUTE, path="/"), event("identify", 2 * MINUTE, traits={"persona": "analyst"}))
    assert life.of(PersonFact)[-1].guidance_at_signup == "guidance_paused"
    life.switch("resume", HOUR)
    life.see(event("identify", 2 * HOUR, traits={"persona": "analyst", "tier": "pro"}))
    assert life.of(PersonFact)[-1].guidance_at_signup == "guidance_paused"
    life.see(signup(3 * HOUR))
    assert life.of(PersonFact)[-1].guidance_at_signup == "on"


def test_a_sign_up_says_nothing_anew_once_guidance_was_considered_unless_the_onboarding_begins_with_it() -> None:
    """Who was guided may sign up sooner than who was not: before a pause instead of during it."""
    for starts, reason in (({}, "on"), ({"when": "signup"}, "guidance_paused")):
        life = Switched()
        life.plan = Plan(life.plan.catalog.model_copy(update={"starts": Starts.model_validate(starts)}))
        life.fold = Fold(life.plan, KEYS, None, life.switches)
        life.see(event("identify", 0, traits={"persona": "analyst"}), track("connected", MINUTE))
        assert life.of(DecisionRequest) or declined(life.outputs) == ["existing_person"]
        life.switch("pause", HOUR)
        life.see(signup(2 * HOUR))
        assert life.of(PersonFact)[-1].guidance_at_signup == reason, starts


def test_a_pause_takes_back_what_is_shown_and_after_it_guidance_goes_on() -> None:
    life = Switched()
    life.see(signup(), event("recommendation_shown", MINUTE))
    (withdrawn,) = withdrawals(life.switch("pause", HOUR))
    assert (withdrawn.ui_component, withdrawn.reason, withdrawn.step_id) == ("none", "guidance_paused", "connect")
    assert withdrawals(life.see(track("connected", 7 * HOUR))) == []
    assert declined(life.outputs) == ["guidance_paused"]
    assert "success" in kinds(life.outputs), "it was shown, and the step was completed within the window"
    life.switch("resume", 8 * HOUR)
    life.see(*(track("explored", 9 * HOUR + each) for each in range(3)), event("form_submit", 10 * HOUR, form="invite"))
    assert len(life.of(DecisionRequest)) == 1, "an activated person needs none"
    assert life.of(PersonFact)[-1].guidance_at_signup == "on"


def test_a_pause_ends_a_decision_that_was_not_shown_without_an_outcome_to_learn_from() -> None:
    life = Switched()
    life.see(signup())
    life.switch("pause", HOUR)
    assert kinds(life.outputs) == ["withdrawn"]


def test_a_ramp_takes_guidance_from_those_outside_alone() -> None:
    shares = []
    for number in range(30):
        life = Switched()
        life.see(signup(user=f"u{number}"))
        assert life.person is not None
        life.switch("ramp", HOUR, 0.5)
        outside = ramp_draw(draw_of(life.person)) >= 0.5
        assert [each.reason for each in withdrawals(life.outputs)] == (["outside_ramp"] if outside else [])
        shares.append(outside)
    assert {True, False} == set(shares)


def test_a_switch_that_wakes_again_after_a_restart_changes_nothing() -> None:
    life = Switched()
    life.see(signup())
    life.switch("pause", HOUR)
    life.switch("resume", 2 * HOUR)
    life.see(track("connected", 7 * HOUR))
    assert len(life.of(DecisionRequest)) == 2
    life.reload()
    before = life.person
    assert life.wake(HOUR) == []
    assert life.person == before


def test_a_switch_moves_nobody_between_groups() -> None:
    for number in range(20):
        life = Switched(holdout=0.5)
        life.see(signup(user=f"u{number}"))
        assert life.person is not None
        before = experiment_group(life.plan, life.person)
        life.switch("ramp", HOUR, 0.5)
        life.switch("pause", 2 * HOUR)
        life.reload()
        life.see(event("identify", 3 * HOUR, user=f"u{number}", traits={"persona": "builder"}))
        assert {each.experiment_group for each in life.of(PersonFact)} == {before}


def test_another_tenant_is_not_woken() -> None:
    life = Switched()
    life.see(signup())
    life.switches.take(switch("pause", HOUR))
    assert life.person is not None
    out = Collector("key")
    life.fold.switched(life.person, GuidanceSwitched("another", 0, START + HOUR + 1, 0), out)
    assert of_kind(flat(out), Publish) == []
