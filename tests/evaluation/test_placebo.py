"""Placebos in the running loop: random rewards give the value of uniform choice, shuffled labels give the base rate as precision."""

from __future__ import annotations

import statistics

import pytest

from benchmarks.measure import CATALOG
from benchmarks.replication import ReplicationConfig, replicate
from evaluation.bandit_value import exposed, last, values
from evaluation.stuck import label_by_truth, score
from state.decision.bandit import Bandit
from state.ids import uniform
from tests.support.placebo import shuffle_labels

WORLDS = [ReplicationConfig("baseline", seed, users=400, days=7, catalog=CATALOG, holdout=0.1, rules=0.0) for seed in range(11, 17)]


@pytest.mark.slow
def test_learners_with_random_rewards_have_the_value_of_uniform_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Averages several worlds: in one world random preferences gain or lose a point or two."""
    observe, count = Bandit.observe, [0]

    def noisy(self: Bandit, arm: str, context: str, success: bool, at: int, matures_at: int = 0) -> None:
        count[0] += 1
        observe(self, arm, context, uniform(b"placebo", str(count[0])) < 0.7, at, matures_at)

    monkeypatch.setattr(Bandit, "observe", noisy)
    gains = []
    for world in WORLDS:
        run = replicate(world)
        found = values(last(exposed(run.evidence, run.truth), 0.5))
        assert found is not None
        gains.append(found.policy - found.uniform)
    assert count[0] > 600
    assert abs(statistics.mean(gains)) < 0.015


def test_with_shuffled_labels_the_precision_of_alarms_is_the_base_rate() -> None:
    run = replicate(ReplicationConfig("baseline", seed=11, users=450, days=7, catalog=CATALOG, holdout=0.2, rules=0.0))
    episodes = label_by_truth(run.truth, run.evidence.until)
    real = score(episodes, run.evidence.signals)
    shuffled = [score(shuffle_labels(episodes, seed), run.evidence.signals) for seed in range(8)]
    chance = sum(each.precision or 0.0 for each in shuffled) / len(shuffled)
    assert real.precision is not None
    assert real.prevalence is not None
    in_time = 1.0 - real.false_late / real.alarms  # late alarms are wrong whatever the label
    assert chance == pytest.approx(real.prevalence * in_time, abs=0.04)
    assert real.precision > chance + 0.3
