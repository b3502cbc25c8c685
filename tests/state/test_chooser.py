"""Choosing: what is logged is what was drawn from, every end closes the books, and only success and failure teach."""

from __future__ import annotations

import msgspec
import pytest

from state.bandit import Learner
from state.chooser import Chooser
from state.facts import DecisionFact, OutcomeFact, PosteriorFact
from state.items import Ask, Choice, Reward
from tests.state.lives import START, Life, of_kind, plan, signup


def ask(number: int = 0) -> Ask:
    life = Life()
    life.see(signup())
    return msgspec.structs.replace(life.ask, decision=f"d{number}")


def reward(kind: str, decision: str = "d0", arm: str = "", trigger: str = "signup") -> Reward:
    return Reward(2, START + 5, "who", 1, "t", "u", decision, trigger, "analysts", "connect", "analyst", arm, kind, 9)


@pytest.fixture
def chooser() -> Chooser:
    return Chooser(plan())


def test_a_choice_is_logged_with_all_arms_and_the_probabilities_it_was_drawn_from(chooser: Chooser) -> None:
    learner = Learner()
    asked = ask()
    choice, fact = chooser.decide(learner, asked)
    assert isinstance(choice, Choice)
    assert isinstance(fact, DecisionFact)
    assert (fact.outcome, fact.reason, fact.arms) == ("decided", "", ("loud", "plain", "quiet"))
    assert fact.propensities == pytest.approx((1 / 3,) * 3)
    assert choice.arm == fact.arm
    assert choice.propensity == fact.propensity == fact.propensities[fact.arms.index(fact.arm)]
    assert (fact.decision_id, fact.version, fact.decided_at, fact.learner_version) == ("d0", asked.version, asked.at, 0)
    assert list(learner.pending) == ["d0"]


def test_the_same_decision_draws_the_same_again(chooser: Chooser) -> None:
    assert chooser.decide(Learner(), ask(3)) == chooser.decide(Learner(), ask(3))


@pytest.mark.parametrize("kind", ["success", "failure"])
def test_success_and_failure_teach_and_tell_what_is_believed_now(chooser: Chooser, kind: str) -> None:
    learner = Learner()
    choice = of_kind(chooser.decide(learner, ask()), Choice)[0]
    told = chooser.learn(learner, reward(kind))
    (outcome,) = of_kind(told, OutcomeFact)
    assert (outcome.kind, outcome.arm, outcome.decision_id) == (kind, choice.arm, "d0")
    everywhere, here = of_kind(told, PosteriorFact)
    assert (everywhere.context, here.context, here.arm, here.version) == ("*", "connect|analyst", choice.arm, 1)
    assert (everywhere.alpha, everywhere.beta) == pytest.approx((2.2, 2.8) if kind == "success" else (1.2, 3.8))
    assert learner.pending == {}
    assert learner.version == 1


@pytest.mark.parametrize("kind", ["shown", "clicked", "dismissed", "expired", "withdrawn", "superseded"])
def test_everything_else_is_told_and_teaches_nothing(chooser: Chooser, kind: str) -> None:
    learner = Learner()
    chooser.decide(learner, ask())
    told = chooser.learn(learner, reward(kind))
    assert [type(each) for each in told] == [OutcomeFact]
    assert learner.version == 0
    assert bool(learner.pending) == (kind in ("shown", "clicked", "dismissed"))


def test_an_echoed_arm_teaches_even_where_the_decision_is_forgotten(chooser: Chooser) -> None:
    learner = Learner()
    told = chooser.learn(learner, reward("success", "forgotten", "quiet"))
    assert [each.arm for each in of_kind(told, OutcomeFact)] == ["quiet"]
    assert list(learner.arms) == [f"quiet@{plan().arm_version('signup', 'quiet')}"]


def test_what_was_chosen_wins_over_what_is_echoed(chooser: Chooser) -> None:
    learner = Learner()
    choice = of_kind(chooser.decide(learner, ask()), Choice)[0]
    echoed = next(arm for arm in ("loud", "plain") if arm != choice.arm)
    told = chooser.learn(learner, reward("success", arm=echoed))
    assert [each.arm for each in of_kind(told, OutcomeFact)] == [choice.arm]


@pytest.mark.parametrize("arm", ["", "retired"])
def test_an_unknown_decision_without_a_known_arm_is_told_and_teaches_nothing(chooser: Chooser, arm: str) -> None:
    learner = Learner()
    told = chooser.learn(learner, reward("success", "unknown", arm))
    assert [type(each) for each in told] == [OutcomeFact]
    assert learner == Learner()


def test_an_ask_for_one_arm_gets_it_for_sure(chooser: Chooser) -> None:
    choice = of_kind(chooser.decide(Learner(), msgspec.structs.replace(ask(), arms=("quiet",))), Choice)[0]
    assert choice.arm == "quiet"
    assert choice.propensity == pytest.approx(1)


def test_success_makes_an_arm_likelier_next_time(chooser: Chooser) -> None:
    learner = Learner()
    for number in range(40):
        choice = of_kind(chooser.decide(learner, ask(number)), Choice)[0]
        chooser.learn(learner, reward("success" if choice.arm == "plain" else "failure", f"d{number}"))
    fact = of_kind(chooser.decide(learner, ask(99)), DecisionFact)[0]
    assert fact.propensities[1] > 0.8
    assert min(fact.propensities) >= 0.05
    assert fact.learner_version == 40
