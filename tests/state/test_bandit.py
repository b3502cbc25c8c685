"""The learner: its probabilities are right, its draws follow them, old evidence fades, contexts share strength, and it learns."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state import bandit, learner_codec
from state.bandit import Cell, Learner, Posterior, draw, observe, pooled, posterior, probability_best, propensities
from state.catalog import Learning
from state.codec import SnapshotError
from state.duration import DAY, MINUTE

POLICY = Learning()
AT = 1_772_442_000_000
ARMS = ("a", "b", "c")


def exact(beliefs: list[Posterior]) -> list[float]:
    """Probability to be the best, by brute force on a fine grid of log-odds."""
    points = np.unique(
        np.concatenate(
            [np.linspace(-60, 60, 20_001)]
            + [math.log(a / b) + 12 * math.sqrt(1 / a + 1 / b) * np.linspace(-1, 1, 4_001) for a, b in beliefs]
        )
    )
    middles, widths = (points[1:] + points[:-1]) / 2, np.diff(points)
    masses = []
    for a, b in beliefs:
        heights = a * middles - (a + b) * np.logaddexp(0, middles)
        mass = np.exp(heights - heights.max()) * widths
        masses.append(mass / mass.sum())
    below = [np.cumsum(mass) - mass / 2 for mass in masses]
    chances = [
        float((mass * np.prod([each for other, each in enumerate(below) if other != arm], axis=0)).sum()) for arm, mass in enumerate(masses)
    ]
    return [each / sum(chances) for each in chances]


beliefs = st.lists(
    st.builds(
        lambda weight, mean: Posterior(10**weight * mean + 0.3, 10**weight * (1 - mean) + 0.3),
        st.floats(0, 5),
        st.floats(0.02, 0.98),
    ),
    min_size=2,
    max_size=6,
)


@given(beliefs)
def test_probabilities_agree_with_a_fine_grid_however_differently_much_is_known_of_the_arms(given_beliefs: list[Posterior]) -> None:
    for found, wanted in zip(probability_best(given_beliefs), exact(given_beliefs), strict=True):
        assert found == pytest.approx(wanted, abs=0.002)


def test_the_fine_grid_agrees_with_monte_carlo() -> None:
    samples = np.random.default_rng(1)
    some = [Posterior(3, 9), Posterior(300, 700), Posterior(1.2, 2.8)]
    draws = np.array([samples.beta(a, b, 400_000) for a, b in some])
    shares = np.bincount(draws.argmax(axis=0), minlength=3) / 400_000
    assert exact(some) == pytest.approx(list(shares), abs=0.004)
    assert probability_best(some) == pytest.approx(list(shares), abs=0.005)


@pytest.mark.parametrize(
    ("some", "wanted"),
    [
        ([(5, 5)], [1.0]),
        ([(1e6, 1e6), (1e6, 1e6)], [0.5, 0.5]),
        ([(1e-3, 1e-3), (1e-3, 1e-3)], [0.5, 0.5]),
        ([(1e6, 1e-3), (1e-3, 1e6)], [1.0, 0.0]),
        ([(1e-3, 1e6), (1e6, 1e-3)], [0.0, 1.0]),
        ([(1e6, 1e6), (1e-3, 1e-3)], [0.5, 0.5]),
        ([(4e5, 6e5), (6e5, 4e5), (5e5, 5e5)], [0.0, 1.0, 0.0]),
        ([(1e9, 1e9)] * 6, [1 / 6] * 6),
    ],
)
def test_extreme_counts_do_not_break_the_numbers(some: list[tuple[float, float]], wanted: list[float]) -> None:
    assert probability_best([Posterior(*each) for each in some]) == pytest.approx(wanted, abs=0.002)


@given(st.lists(st.tuples(st.floats(1e-3, 1e6), st.floats(1e-3, 1e6)), min_size=2, max_size=6))
def test_probabilities_are_probabilities(some: list[tuple[float, float]]) -> None:
    chances = probability_best([Posterior(*each) for each in some])
    assert sum(chances) == pytest.approx(1, abs=1e-9)
    assert all(0 <= each <= 1 for each in chances)


observations = st.lists(
    st.tuples(st.sampled_from(ARMS), st.sampled_from(["x|*", "y|*"]), st.booleans(), st.integers(0, 400 * DAY)), max_size=60
)
policies = st.builds(
    Learning,
    prior_rate=st.floats(0.05, 0.95),
    prior_weight=st.floats(0.5, 50),
    pooling=st.floats(0.5, 100),
    half_life=st.sampled_from(["5m", "1d", "60d", "1000d"]),
    exploration_floor=st.floats(0, 0.2),
)


def taught(policy: Learning, given_observations: list[tuple[str, str, bool, int]]) -> Learner:
    learner = Learner()
    for arm, context, success, after in sorted(given_observations, key=lambda each: each[3]):
        observe(learner, policy, arm, context, success, AT + after)
    return learner


@given(observations, policies, st.integers(0, 2_000 * DAY))
def test_propensities_sum_to_one_and_none_is_below_the_floor(
    given_observations: list[tuple[str, str, bool, int]], policy: Learning, after: int
) -> None:
    chances = propensities(taught(policy, given_observations), policy, ARMS, "x|*", AT + after)
    assert sum(chances) == pytest.approx(1, abs=1e-9)
    assert min(chances) >= policy.exploration_floor - 1e-12


@given(observations, policies, st.integers(400 * DAY, 500 * DAY))
def test_fading_in_growing_units_is_fading_observation_by_observation(
    given_observations: list[tuple[str, str, bool, int]], policy: Learning, after: int
) -> None:
    """Also over the rescaling, which short half-lives reach many times."""
    learner = taught(policy, given_observations)
    for arm in ARMS:
        weights = [(success, 0.5 ** ((after - when) / policy.half_life)) for name, _, success, when in given_observations if name == arm]
        believed = pooled(learner, policy, arm, AT + after)
        won, lost = sum(weight for success, weight in weights if success), sum(weight for success, weight in weights if not success)
        assert believed.alpha == pytest.approx(policy.prior_rate * policy.prior_weight + won, rel=1e-6)
        assert believed.beta == pytest.approx((1 - policy.prior_rate) * policy.prior_weight + lost, rel=1e-6)


def test_rescaling_is_really_reached() -> None:
    policy = Learning.model_validate({"half_life": "1d"})
    learner = taught(policy, [("a", "x|*", True, day * DAY) for day in range(60)])
    assert learner.origin > AT
    assert pooled(learner, policy, "a", AT + 59 * DAY).alpha == pytest.approx(1.2 + sum(0.5**day for day in range(60)))


def test_rescaling_changes_nothing_that_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Learning.model_validate({"half_life": "1d"})
    history = [("ab"[day % 2], "xy"[day % 3 % 2] + "|*", day % 5 < 2, day * DAY) for day in range(30)]
    plain = taught(policy, history)
    monkeypatch.setattr(bandit, "_RESCALE_AT", 2.0)
    often = taught(policy, history)
    assert often.origin != plain.origin
    for arm in "ab":
        for context in ("x|*", "y|*", "z|*"):
            believed = posterior(often, policy, arm, context, AT + 31 * DAY)
            assert believed == pytest.approx(posterior(plain, policy, arm, context, AT + 31 * DAY))


@pytest.mark.parametrize("after", [-3_000 * DAY, 3_000 * DAY, 3_000_000 * DAY])
def test_no_pause_however_long_breaks_a_learner_with_a_short_half_life(after: int) -> None:
    policy = Learning.model_validate({"half_life": "1m"})
    learner = taught(policy, [("a", "x|*", True, 0)])
    chances = propensities(learner, policy, ARMS, "x|*", AT + after)
    assert sum(chances) == pytest.approx(1)
    observe(learner, policy, "a", "x|*", False, AT + after)
    assert math.isfinite(posterior(learner, policy, "a", "x|*", AT + after).beta)
    assert sum(propensities(learner, policy, ARMS, "x|*", AT + after + MINUTE)) == pytest.approx(1)


def test_a_learner_asked_about_a_time_before_its_own_answers_as_of_now() -> None:
    """Partitions keep time of their own; one that lags behind must not make evidence heavier than it is."""
    learner = taught(POLICY, [("a", "x|*", True, 100 * DAY)])
    assert pooled(learner, POLICY, "a", AT) == pooled(learner, POLICY, "a", AT + 100 * DAY)


def test_rounding_does_not_eat_a_weak_prior() -> None:
    policy = Learning(prior_weight=1e-9)
    learner = Learner(origin=AT, arms={"a": Cell(1e9 + 1, 1e9)}, contexts={"a|x|*": Cell(1e9 + 1, 1e9)})
    believed = posterior(learner, policy, "a", "x|*", AT + 7 * DAY)
    assert min(believed) > 0
    assert all(map(math.isfinite, believed))


def test_a_context_without_data_believes_what_all_contexts_together_say() -> None:
    learner = taught(POLICY, [("a", "x|*", number % 4 == 0, 0) for number in range(400)])
    here = posterior(learner, POLICY, "a", "new|*", AT)
    everywhere = pooled(learner, POLICY, "a", AT)
    assert here.alpha / sum(here) == pytest.approx(everywhere.alpha / sum(everywhere))
    assert sum(here) == pytest.approx(POLICY.pooling)


def test_a_context_with_much_data_believes_its_own_eyes() -> None:
    learner = taught(POLICY, [("a", "x|*", False, 0)] * 2_000 + [("a", "y|*", number % 10 < 8, 0) for number in range(2_000)])
    here = posterior(learner, POLICY, "a", "y|*", AT)
    assert here.alpha / sum(here) == pytest.approx(0.8, abs=0.01)
    assert sum(here) == pytest.approx(2_000 + POLICY.pooling, rel=0.01)


def test_what_a_context_has_seen_counts_once_though_it_is_part_of_the_pool() -> None:
    learner = taught(POLICY, [("a", "x|*", True, 0)] * 3)
    here = posterior(learner, POLICY, "a", "x|*", AT)
    assert here == pytest.approx((1.2 + 3, 2.8))


def test_an_arm_that_was_never_tried_has_the_prior() -> None:
    assert pooled(Learner(), POLICY, "a", AT) == pytest.approx((1.2, 2.8))
    assert posterior(Learner(), POLICY, "a", "x|*", AT) == pytest.approx((1.2, 2.8))


def test_draws_follow_the_propensities_over_many_decisions() -> None:
    chances = (0.05, 0.15, 0.8)
    drawn = Counter(draw(chances, f"decision {number}") for number in range(20_000))
    for arm, chance in enumerate(chances):
        assert drawn[arm] / 20_000 == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / 20_000))


@given(st.text(), st.lists(st.floats(0.01, 1), min_size=1, max_size=6))
def test_the_same_decision_draws_the_same_and_always_an_arm_that_is_there(decision: str, weights: list[float]) -> None:
    decision = decision.encode("utf-8", "replace").decode()
    chances = [each / sum(weights) for each in weights]
    assert draw(chances, decision) == draw(chances, decision)
    assert 0 <= draw(chances, decision) < len(chances)


def test_rounding_never_leaves_a_draw_without_an_arm() -> None:
    assert draw((0.0, 0.0, 0.0), "x") == 2


def test_an_arm_without_a_chance_is_never_drawn() -> None:
    assert {draw((0.0, 1.0), f"decision {number}") for number in range(500)} == {1}


@given(observations, st.dictionaries(st.text(max_size=5), st.sampled_from(ARMS), max_size=5))
def test_a_learner_written_down_and_read_back_is_the_same(
    given_observations: list[tuple[str, str, bool, int]], pending: dict[str, str]
) -> None:
    learner = taught(POLICY, given_observations)
    learner.pending = {key.encode("utf-8", "replace").decode(): arm for key, arm in pending.items()}
    assert learner_codec.decode(learner_codec.encode(learner)) == learner


def test_a_learner_of_a_later_release_or_a_damaged_one_is_refused_in_words() -> None:
    data = learner_codec.encode(taught(POLICY, [("a", "x|*", True, 0)]))
    assert learner_codec.decode(None) == Learner()
    with pytest.raises(SnapshotError, match="version 09"):
        learner_codec.decode(b"\x09" + data[1:])
    with pytest.raises(SnapshotError, match="damaged"):
        learner_codec.decode(data[:-1])
    with pytest.raises(SnapshotError):
        learner_codec.decode(b"")


def test_an_older_snapshot_with_fewer_fields_reads_as_a_learner_of_today() -> None:
    assert learner_codec.decode(b"\x01\x92\x05\x07") == Learner(version=5, origin=7)


def test_a_mean_of_zero_is_data() -> None:
    learner = Learner(origin=AT, arms={"a": Cell(0.0, 50.0)}, contexts={"a|x|*": Cell(0.0, 50.0)})
    assert posterior(learner, POLICY, "a", "x|*", AT) == pytest.approx((1.2, 52.8))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_finds_the_best_arm_and_wins_clearly_more_than_by_chance(seed: int) -> None:
    """Two contexts with different best arms; chance would win 0.25 of the time, the best arms 0.4."""
    rates = {"x|*": {"a": 0.40, "b": 0.20, "c": 0.15}, "y|*": {"a": 0.15, "b": 0.20, "c": 0.40}}
    world, learner, wins, best = np.random.default_rng(seed), Learner(), 0, Counter[str]()
    for number in range(3_000):
        context = ("x|*", "y|*")[number % 2]
        at = AT + number * MINUTE
        arm = ARMS[draw(propensities(learner, POLICY, ARMS, context, at), f"{seed} {number}")]
        success = bool(world.random() < rates[context][arm])
        observe(learner, POLICY, arm, context, success, at)
        wins += success
        if number >= 2_000:
            best[context] += rates[context][arm] == 0.40
    assert wins / 3_000 > 0.30
    assert min(best["x|*"], best["y|*"]) > 300
