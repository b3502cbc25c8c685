"""Choosing: what is logged is what was drawn from, every end closes the books, and only success and failure teach."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from state.catalog.plan import Plan
from state.decision.bandit import LEARNER_CODEC, Bandit, Learner
from state.decision.chooser import Choices, Chooser
from state.decision.messages import Decision, DecisionOutcome, DecisionRequest
from state.duration import DAY
from state.records.facts import ArmStopFact, CatalogFact, DecisionFact, OutcomeFact, PosteriorFact
from tests.state.lives import START, Life, catalog, of_kind, plan, signup

ALL = ("loud", "plain", "quiet")


def ask(number: int = 0, at: int = START, **changes: object) -> DecisionRequest:
    life = Life()
    life.see(signup())
    return msgspec.structs.replace(life.ask, decision=f"d{number}", at=at, **changes)


def reward(kind: str, decision: str = "d0", arm: str = "", at: int = START + 5, **changes: object) -> DecisionOutcome:
    found = DecisionOutcome(
        seq=2,
        at=at,
        key="key",
        number=1,
        tenant="t",
        user="u",
        decision=decision,
        trigger="signup",
        path="analysts",
        step="connect",
        segment="analyst",
        arm=arm,
        kind=kind,
        version=9,
    )
    return msgspec.structs.replace(found, **changes)


FITS = "learner_fits"


def emitted(out: Choices) -> list[Any]:
    return [*out.decisions, *out.rows]


def decide(chooser: Chooser, bandit: Bandit, request: DecisionRequest) -> list[Any]:
    out = Choices()
    chooser.decide(bandit, request, out)
    (decision,) = out.decisions
    assert {name: count for name, count in out.counts.items() if name != FITS} == {"decisions": 1, f"arms_chosen|{decision.arm}": 1}
    return emitted(out)


def learn(chooser: Chooser, bandit: Bandit, outcome: DecisionOutcome) -> list[Any]:
    out = Choices()
    chooser.learn(bandit, outcome, out)
    fits = out.counts.pop(FITS, 0)
    assert bool(fits) == any(isinstance(row, PosteriorFact) for row in out.rows)
    assert out.counts == {f"outcomes|{outcome.kind}": 1}
    return emitted(out)


@pytest.fixture
def chooser() -> Chooser:
    return Chooser(plan())


@pytest.fixture
def bandit(chooser: Chooser) -> Bandit:
    return chooser.bandit(Learner(catalog=plan().version))


def test_the_first_choice_under_a_catalog_records_what_it_promises(chooser: Chooser) -> None:
    bandit = chooser.bandit(Learner(catalog="small@0"))
    rows = decide(chooser, bandit, ask())
    (fact,) = (row for row in rows if isinstance(row, CatalogFact))
    assert (fact.catalog_version, fact.attribution_window_ms, fact.exploration_floor) == (plan().version, DAY, 0.05)
    assert not any(isinstance(row, CatalogFact) for row in decide(chooser, bandit, ask()))


@pytest.mark.parametrize(
    ("change", "promised"),
    [
        (("", ""), (0.5, 0.0)),
        (("holdout: 0.5", "holdout: 0.5\nrules: 0.25"), (0.5, 0.25)),
        (("holdout: 0.5", "holdout: 0.5\nrules: 0.25\nobserve: true"), (1.0, 0.0)),
        (("holdout: 0.5", "holdout: 1"), (1.0, 0.0)),
    ],
)
def test_meeting_a_catalog_records_once_what_it_promises_and_one_that_observes_holds_everybody_out(
    change: tuple[str, str], promised: tuple[float, float]
) -> None:
    chooser, out = Chooser(Plan(catalog(0.5, change=lambda text: text.replace(*change)))), Choices()
    bandit = chooser.bandit(Learner())
    chooser.meet(bandit, "t", out)
    chooser.meet(chooser.bandit(LEARNER_CODEC.decode(LEARNER_CODEC.encode(bandit.learner))), "t", out)
    (fact,) = of_kind(out.rows, CatalogFact)
    assert (fact.tenant_id, fact.holdout, fact.rules) == ("t", *promised)


def test_the_row_of_a_catalog_names_its_strict_paths_and_the_steps_without_alarms() -> None:
    def strict(text: str) -> str:
        return text.replace("title: Builders,", "title: Builders, order: strict,").replace(
            "- id: share\n", "- id: share\n    alarms: false\n"
        )

    out = Choices()
    chooser = Chooser(Plan(catalog(change=strict)))
    chooser.meet(chooser.bandit(Learner()), "t", out)
    (fact,) = of_kind(out.rows, CatalogFact)
    assert (fact.strict_paths, fact.steps_without_alarms) == (("builders",), ("share",))


def test_a_choice_is_logged_with_all_arms_and_the_probabilities_it_was_drawn_from(chooser: Chooser, bandit: Bandit) -> None:
    asked = ask()
    choice, fact = decide(chooser, bandit, asked)
    assert isinstance(choice, Decision)
    assert isinstance(fact, DecisionFact)
    assert (fact.outcome, fact.reason, fact.arms) == ("decided", "", ALL)
    assert fact.propensities == pytest.approx((1 / 3,) * 3)
    assert choice.arm == fact.arm
    assert choice.propensity == fact.propensity == fact.propensities[fact.arms.index(fact.arm)]
    assert (fact.decision_id, fact.version, fact.decided_at, fact.learner_version) == ("d0", asked.version, asked.at, 0)
    assert list(bandit.learner.pending) == ["d0"]


def test_the_same_decision_draws_the_same_again(chooser: Chooser) -> None:
    assert decide(chooser, chooser.bandit(Learner()), ask(3)) == decide(chooser, chooser.bandit(Learner()), ask(3))


@pytest.mark.parametrize("kind", ["success", "failure"])
def test_success_and_failure_teach_and_tell_what_is_believed_now(chooser: Chooser, bandit: Bandit, kind: str) -> None:
    choice = of_kind(decide(chooser, bandit, ask()), Decision)[0]
    told = learn(chooser, bandit, reward(kind))
    (outcome,) = of_kind(told, OutcomeFact)
    assert (outcome.kind, outcome.arm, outcome.decision_id) == (kind, choice.arm, "d0")
    everywhere, here = of_kind(told, PosteriorFact)
    assert (everywhere.context, here.context, here.arm, here.version) == ("*", "connect|analyst", choice.arm, 1)
    assert (here.alpha / (here.alpha + here.beta) > 0.35) == (kind == "success")
    assert bandit.learner.pending == {}
    assert bandit.learner.version == 1


@pytest.mark.parametrize("kind", ["shown", "clicked", "dismissed", "expired", "withdrawn", "superseded"])
def test_everything_else_is_told_and_teaches_nothing(chooser: Chooser, bandit: Bandit, kind: str) -> None:
    decide(chooser, bandit, ask())
    told = learn(chooser, bandit, reward(kind))
    assert [type(each) for each in told] == [OutcomeFact]
    assert bandit.learner.version == 0
    assert bool(bandit.learner.pending) == (kind in ("shown", "clicked", "dismissed"))


def test_a_success_is_told_at_once_and_learned_when_its_window_has_closed(chooser: Chooser, bandit: Bandit) -> None:
    decide(chooser, bandit, ask())
    told = learn(chooser, bandit, reward("success", matures_at=START + 1_000))
    assert [type(each) for each in told] == [OutcomeFact]
    assert of_kind(decide(chooser, bandit, ask(1, START + 999)), DecisionFact)[0].learner_version == 0
    later = decide(chooser, bandit, ask(2, START + 1_000))
    assert [each.context for each in of_kind(later, PosteriorFact)] == ["*", "connect|analyst"]
    assert of_kind(later, DecisionFact)[0].learner_version == 1


def test_an_echoed_arm_teaches_even_where_the_decision_is_forgotten(chooser: Chooser, bandit: Bandit) -> None:
    told = learn(chooser, bandit, reward("success", "forgotten", "quiet"))
    assert [each.arm for each in of_kind(told, OutcomeFact)] == ["quiet"]
    assert list(bandit.learner.trials) == [f"quiet@{plan().arm_version('signup', 'quiet')}"]


def test_what_was_chosen_wins_over_what_is_echoed(chooser: Chooser, bandit: Bandit) -> None:
    choice = of_kind(decide(chooser, bandit, ask()), Decision)[0]
    echoed = next(arm for arm in ("loud", "plain") if arm != choice.arm)
    told = learn(chooser, bandit, reward("success", arm=echoed))
    assert [each.arm for each in of_kind(told, OutcomeFact)] == [choice.arm]


@pytest.mark.parametrize("arm", ["", "retired"])
def test_an_unknown_decision_without_a_known_arm_is_told_and_teaches_nothing(chooser: Chooser, bandit: Bandit, arm: str) -> None:
    told = learn(chooser, bandit, reward("success", "unknown", arm))
    assert [type(each) for each in told] == [OutcomeFact]
    assert bandit.learner == Learner(catalog=plan().version)


def test_an_ask_for_one_arm_gets_it_for_sure(chooser: Chooser, bandit: Bandit) -> None:
    choice = of_kind(decide(chooser, bandit, ask(arms=("quiet",))), Decision)[0]
    assert choice.arm == "quiet"
    assert choice.propensity == pytest.approx(1)


def test_success_makes_an_arm_likelier_next_time(chooser: Chooser, bandit: Bandit) -> None:
    for number in range(80):
        choice = of_kind(decide(chooser, bandit, ask(number)), Decision)[0]
        learn(chooser, bandit, reward("success" if choice.arm == "plain" else "failure", f"d{number}"))
    fact = of_kind(decide(chooser, bandit, ask(99)), DecisionFact)[0]
    assert fact.propensities[1] > 0.8
    assert min(fact.propensities) >= 0.05
    assert fact.learner_version == bandit.learner.fitted > 60


def test_an_arm_just_shown_to_this_person_is_less_likely(chooser: Chooser, bandit: Bandit) -> None:
    fact = of_kind(decide(chooser, bandit, ask(recovery=(1.0, 0.0, 1.0))), DecisionFact)[0]
    assert fact.propensities[1] < 0.25
    assert fact.propensities[0] == pytest.approx(fact.propensities[2], abs=0.01)


def test_the_group_that_rules_guide_gets_the_first_arm_and_teaches_nothing(chooser: Chooser, bandit: Bandit) -> None:
    for number in range(20):
        choice, fact = decide(chooser, bandit, ask(number, group="rules", recovery=(0.0, 1.0, 1.0)))
        assert isinstance(choice, Decision)
        assert isinstance(fact, DecisionFact)
        assert (choice.arm, choice.propensity) == ("loud", 1.0)
        assert (fact.arms, fact.propensities, fact.experiment_group) == (ALL, (1.0, 0.0, 0.0), "rules")
        told = learn(chooser, bandit, reward("success", f"d{number}", group="rules"))
        assert [type(each) for each in told] == [OutcomeFact]
        assert of_kind(told, OutcomeFact)[0].arm == "loud"
    assert bandit.learner == Learner(catalog=plan().version)


def test_a_stopped_arm_is_told_once_and_no_longer_eligible(chooser: Chooser, bandit: Bandit) -> None:
    stops: list[ArmStopFact] = []
    for number in range(1_200):
        arm = ALL[number % 3]
        success = number // 3 % 10 < (1 if arm == "quiet" else 5)
        stops += of_kind(learn(chooser, bandit, reward("success" if success else "failure", f"x{number}", arm)), ArmStopFact)
    (stop,) = stops
    assert (stop.arm, stop.arm_version, stop.tenant_id, stop.trigger) == ("quiet", plan().arm_version("signup", "quiet"), "t", "signup")
    assert stop.confidence >= 0.99
    assert stop.others_rate - stop.rate > stop.margin
    fact = of_kind(decide(chooser, bandit, ask()), DecisionFact)[0]
    assert fact.arms == ("loud", "plain")
    assert sum(fact.propensities) == pytest.approx(1)
    ruled = of_kind(decide(chooser, bandit, ask(1, group="rules", arms=("quiet", "loud"))), DecisionFact)[0]
    assert ruled.propensities == (1.0, 0.0)
    left = of_kind(decide(chooser, bandit, ask(2, arms=("quiet",))), DecisionFact)[0]
    assert (left.arm, left.propensities) == ("quiet", (1.0,))
