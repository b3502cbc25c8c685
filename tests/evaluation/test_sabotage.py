"""Plants six faults into the running loop, one at a time. Each must make its check of the evidence fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.measure import CATALOG
from benchmarks.replication import Replication, ReplicationConfig, replicate
from evaluation.integrity import check
from evaluation.offline_runner import OfflineRunner
from evaluation.truth import SealedTruth
from state.catalog.plan import Plan
from state.decision import chooser, eligibility, guidance, propensity
from state.decision.attribution import Attribution
from state.decision.composer import Composer
from state.decision.messages import Decision
from state.duration import DAY
from state.records.facts import SignalFact

WORLD = ReplicationConfig("baseline", seed=7, users=200, days=7, catalog=CATALOG, holdout=0.2, rules=0.1)


def failed_checks(run: Replication) -> set[str]:
    return {each.name for each in check(run.evidence, run.truth) if not each.ok}


def swap_arms(patch: pytest.MonkeyPatch) -> None:
    """Another arm is shown than was decided."""
    compose = Composer.compose

    def swapped(self: Composer, decision: Decision) -> Any:
        arms = decision.request.arms
        other = arms[(arms.index(decision.arm) + 1) % len(arms)]
        return compose(self, Decision(request=decision.request, arm=other, propensity=decision.propensity))

    patch.setattr(Composer, "compose", swapped)


def attribute_late(patch: pytest.MonkeyPatch) -> None:
    """The attribution window is twice as long as configured."""
    init = Plan.__init__

    def longer(self: Plan, catalog: Any) -> None:
        init(self, catalog)
        limits = self.limits.model_copy(update={"attribution_window": 2 * DAY})
        object.__setattr__(self, "limits", limits)

    patch.setattr(Plan, "__init__", longer)


def leak_truth(patch: pytest.MonkeyPatch) -> None:
    """The detector alarms at the hidden onset."""
    evidence_of = OfflineRunner.evidence

    def with_truth(self: OfflineRunner, until: int | None = None) -> Any:
        evidence = evidence_of(self, until)
        episodes = SEALED[0].episodes()
        late = episodes.filter(episodes["untreated_at"].is_null())
        rows = [
            {"user_id": u, "step_id": s, "trigger": "stuck:errors", "detected_at": at, "score": 1.0, "evidence": "{}"}
            for u, s, at in late.select("user_id", "step_id", "onset").iter_rows()
        ]
        return type(evidence).of(
            until=evidence.until, people=evidence.people, decisions=evidence.decisions, outcomes=evidence.outcomes,
            signals=rows, progress=evidence.progress, recommendations=evidence.recommendations,
        )  # fmt: skip

    patch.setattr(OfflineRunner, "evidence", with_truth)


def treat_the_holdout(patch: pytest.MonkeyPatch) -> None:
    """Held-out people are guided."""
    reason_not_to_decide = eligibility.reason_not_to_decide

    def lenient(plan: Plan, person: Any, group: str, trigger: str, step: str, at: int, switched_off: str) -> str:
        return reason_not_to_decide(plan, person, "adaptive" if group == "holdout" else group, trigger, step, at, switched_off)

    patch.setattr(guidance, "reason_not_to_decide", lenient)


def misstate_propensities(patch: pytest.MonkeyPatch) -> None:
    """The first arm is chosen in half of the decisions, whatever its logged propensity."""
    draw = propensity.draw

    def biased(chances: Any, decision: str) -> int:
        return 0 if int(decision[:2], 16) % 2 else draw(chances, decision)

    patch.setattr(chooser, "draw", biased)


def reward_twice(patch: pytest.MonkeyPatch) -> None:
    """A success is also reported as a failure at the end of its window."""
    close = Attribution.close

    def twice(self: Attribution, person: Any, decision: Any, kind: str, at: int, out: Any) -> None:
        close(self, person, decision, kind, at, out)
        if kind == "success":
            self._report(person, decision, "failure", decision.shown + DAY, out)

    patch.setattr(Attribution, "close", twice)


FAULTS: dict[Callable[[pytest.MonkeyPatch], None], str] = {
    swap_arms: "arms delivered",
    attribute_late: "attribution",
    leak_truth: "no foresight",
    treat_the_holdout: "holdout untouched",
    misstate_propensities: "choices follow propensities",
    reward_twice: "one end each",
}
IN_EVERY_RUN = {treat_the_holdout, reward_twice, misstate_propensities}
SEALED: list[SealedTruth] = []


@pytest.fixture(scope="module")
def healthy() -> Replication:
    run = replicate(WORLD)
    SEALED[:] = [run.truth]
    return run


def test_all_checks_pass_in_a_healthy_loop(healthy: Replication) -> None:
    assert failed_checks(healthy) == set()
    assert healthy.evidence.outcomes.filter(kind="success").height > 60
    assert healthy.job.facts(SignalFact)


@pytest.mark.parametrize(
    "fault",
    [fault if fault in IN_EVERY_RUN else pytest.param(fault, marks=pytest.mark.slow) for fault in FAULTS],
    ids=lambda fault: fault.__name__,
)
def test_a_planted_fault_is_found(
    fault: Callable[[pytest.MonkeyPatch], None], healthy: Replication, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    assert FAULTS[fault] in failed_checks(replicate(WORLD))
