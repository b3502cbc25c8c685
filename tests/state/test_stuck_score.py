"""The score on made-up episodes whose truth is known: calibrated, no worse than time alone, better where the evidence says something."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from random import Random

import numpy as np
import pytest

from state.stuck.calibration import FITTED_TRUST
from state.stuck.evidence import Kind, feature
from state.stuck.row import Row, pack
from state.stuck.score import BUCKETS, SHARES, ScoreLearner, _logit, bucket_at
from state.stuck.score_state import ScoreState

Draw = Callable[[Random], tuple[tuple[int, ...], float]]


def telling(rng: Random) -> tuple[tuple[int, ...], float]:
    """Two signs, and how probable it is that somebody with them is stuck."""
    first, second = rng.random() < 0.4, rng.random() < 0.2
    return (1, 2 + first, 4 + second), 1.0 / (1.0 + math.exp(1.0 - 1.5 * first - 1.5 * second))


def mute(rng: Random) -> tuple[tuple[int, ...], float]:
    """Many signs that say nothing."""
    return tuple(sorted({1, *(rng.randrange(10, 60) for _ in range(20))})), 0.35


def run(draw: Draw, count: int, seed: int) -> tuple[list[float], list[float], list[bool]]:
    """Judge each episode by what was learned of those before it: scores, time alone, and who was stuck."""
    rng, learner = Random(seed), ScoreLearner()
    scores, alone, truth = list[float](), list[float](), list[bool]()
    for _ in range(count):
        features, rate = draw(rng)
        found = learner.score().predict("step", 1, features)
        stuck = rng.random() < rate
        scores.append(found.score)
        alone.append(found.time)
        truth.append(stuck)
        learner.learn("step", [Row(1, found.time, found.added, found.score, pack(features))], stuck=stuck, unaided=True)
    return scores, alone, truth


def average_precision(scores: list[float], stuck: list[bool]) -> float:
    """Ties count as one group."""
    score, hit = np.array(scores), np.array(stuck)
    order = np.argsort(-score, kind="stable")
    score, right = score[order], np.cumsum(hit[order])
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    gained = np.diff(np.append(0, right[last]))
    return float((gained * right[last] / (last + 1)).sum() / right[-1])


@pytest.mark.parametrize("draw", [telling, mute])
def test_scores_are_frequencies(draw: Draw) -> None:
    scores, _, truth = run(draw, 3_000, 1)
    order = np.argsort(scores[500:])
    kept, stuck = np.array(scores[500:])[order], np.array(truth[500:])[order]
    errors = [abs(kept[part].mean() - stuck[part].mean()) for part in np.array_split(np.arange(kept.size), 10)]
    assert np.mean(errors) < 0.04


@pytest.mark.parametrize("seed", range(3))
def test_evidence_that_says_something_finds_more_and_what_says_nothing_costs_nothing(seed: int) -> None:
    scores, alone, truth = run(telling, 1_500, seed)
    assert average_precision(scores[300:], truth[300:]) > average_precision(alone[300:], truth[300:]) + 0.05
    scores, alone, truth = run(mute, 1_500, seed)
    assert average_precision(scores, truth) > average_precision(alone, truth) - 0.03


def test_trust_follows_what_evidence_is_worth() -> None:
    def trust_after(draw: Draw) -> float:
        rng, learner = Random(3), ScoreLearner()
        for _ in range(1_500):
            features, rate = draw(rng)
            found = learner.score().predict("step", 1, features)
            learner.learn("step", [Row(1, found.time, found.added, found.score, pack(features))], stuck=rng.random() < rate, unaided=True)
        return learner.score().trust[1]

    assert trust_after(mute) < 0.3
    assert trust_after(telling) > 0.7


def test_held_out_people_set_the_level_and_others_fill_in() -> None:
    learner = ScoreLearner()
    for _ in range(100):
        learner.learn("step", [Row(1, 0.5, 0.0, 0.5, pack((1,)))], stuck=False, unaided=False)
    assert learner.score().time_alone("step", 1) < 0.1
    for _ in range(200):
        learner.learn("step", [Row(1, 0.5, 0.0, 0.5, pack((1,)))], stuck=True, unaided=True)
    assert learner.score().time_alone("step", 1) > 0.7


def test_a_learned_horizon_begins_the_shares_anew() -> None:
    learner = ScoreLearner()
    for _ in range(100):
        learner.learn("step", [Row(1, 0.5, 0.0, 0.5, pack((1,)))], stuck=True, unaided=True)
    learner.begin_anew("step")
    assert learner.score().time_alone("step", 1) == 0.5
    for _ in range(30):
        learner.count("step", 1, stuck=False, unaided=True)
    learner.learn("step", [Row(2, 0.5, 0.0, 0.5, pack((1,)))], stuck=True, unaided=True, counts=False)
    assert learner.score().time_alone("step", 1) < 0.1
    assert learner.score().time_alone("step", 2) == 0.5


def test_a_bucket_begins_at_its_share_of_the_horizon() -> None:
    assert [bucket_at(round(1000 * share), 1000) for share in SHARES] == list(range(1, BUCKETS))
    assert [bucket_at(round(1000 * share) - 1, 1000) for share in SHARES] == list(range(BUCKETS - 1))


def test_a_score_stays_as_it_was_when_more_is_learned() -> None:
    learner, features = ScoreLearner(), (1, 2)
    before = learner.score()
    said = before.predict("step", 1, features)
    for _ in range(50):
        learner.learn("step", [Row(1, 0.5, 0.3, 0.6, pack(features))], stuck=True, unaided=True)
    assert before.predict("step", 1, features) == said
    assert learner.score().predict("step", 1, features).score > said.score


def test_what_a_sign_means_becomes_surer_and_never_less_sure_than_before_there_were_data() -> None:
    learner, sign = ScoreLearner(), feature(Kind.CIRCLES, 1)
    for number in range(200):
        learner.learn("step", [Row(1, 0.5, 0.3, 0.6, pack((1, sign)))], stuck=number % 2 == 0, unaided=True)
    variances = {each: variance for each, (_, variance) in learner.state().weights.items()}
    assert variances[sign] < 0.1
    assert variances[1] < 0.04


@pytest.mark.parametrize("share", [0.0, 1e-9, 0.001, 0.3, 0.5, 0.999, 1.0])
def test_a_logit_is_bounded_and_odd(share: float) -> None:
    assert -6.0 <= _logit(share) <= 6.0
    assert _logit(share) == pytest.approx(-_logit(1.0 - share), abs=1e-6)
    assert _logit(share) <= _logit(min(share + 0.001, 1.0))


def test_certain_shares_have_the_largest_logits() -> None:
    assert (_logit(0.0), _logit(1.0), _logit(0.5)) == (-6.0, 6.0, 0.0)


def test_trust_of_an_earlier_release_is_read() -> None:
    state = ScoreState(trust=[(0.1 * bucket, 0.1) for bucket in range(BUCKETS)])
    assert list(ScoreLearner(state).trust) == [0.1 * bucket for bucket in range(BUCKETS)]
    learner = ScoreLearner(ScoreLearner(state).state())
    assert list(learner.trust) == [0.1 * bucket for bucket in range(BUCKETS)]
    assert learner.state().trust == state.trust, "an earlier release can read it"


def test_learners_from_one_snapshot_do_not_share_what_they_learn() -> None:
    state = ScoreLearner().state()
    one, other = ScoreLearner(state), ScoreLearner(state)
    one.learn("step", [Row(1, 0.5, 1.0, 0.5, pack((7,)))], stuck=True, unaided=True)
    assert list(other.trust) == [0.5] * BUCKETS != list(one.trust)


def test_scores_of_another_process_are_the_same() -> None:
    learner = ScoreLearner()
    for number in (7, 8) * 50:
        learner.learn("step", [Row(1, 0.5, 0.8 if number == 8 else -0.8, 0.5, pack((number,)))], stuck=number == 8, unaided=True)
    score = learner.score()
    assert pickle.loads(pickle.dumps(score)).predict("step", 1, (8,)) == score.predict("step", 1, (8,))
    before = score.predict("step", 1, (8,))
    learner.learn("step", [Row(1, 0.5, 0.8, 0.5, pack((8,)))], stuck=False, unaided=True)
    assert score.predict("step", 1, (8,)) == before, "a score is immutable"


def test_what_a_log_said_of_evidence_counts_until_people_say_otherwise() -> None:
    learner = ScoreLearner()
    learner.begin_evidence({7: (1.5, 0.04)}, [1.0] * BUCKETS)
    told = learner.score()
    assert told.weight(7) == 1.5
    assert told.trust == [1.0] * BUCKETS
    assert {each.variance for each in learner.state().calibrations} == {FITTED_TRUST}
    assert told.predict("step", 1, (7,)).score == pytest.approx(1.0 / (1.0 + math.exp(-1.5)), abs=0.01)
    for number in (7, 8) * 200:
        found = learner.score().predict("step", 1, (number,))
        learner.learn("step", [Row(1, found.time, found.added, found.score, pack((number,)))], stuck=number == 8, unaided=True)
    assert learner.score().weight(7) < 1.0


def test_what_was_learned_is_not_replaced_by_what_a_log_said() -> None:
    learner = ScoreLearner()
    learner.learn("step", [Row(1, 0.5, 0.0, 0.5, pack((7,)))], stuck=True, unaided=True)
    known = learner.score()
    for again in (learner, ScoreLearner(learner.state())):
        again.begin_evidence({7: (-3.0, 0.01)}, [1.0] * BUCKETS)
        assert again.score().weight(7) == known.weight(7) > 0
        assert again.score().trust == known.trust


def test_what_a_log_said_of_evidence_is_in_the_snapshot_beside_what_was_learned() -> None:
    learner = ScoreLearner()
    learner.begin_evidence({7: (1.5, 0.04)}, [1.0] * BUCKETS)
    learner.learn("step", [Row(1, 0.5, 0.0, 0.5, pack((8,)))], stuck=True, unaided=True)
    assert ScoreLearner(learner.state()).score().weight(7) == 1.5
