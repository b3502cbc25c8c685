"""The learner: its probabilities are right, its draws follow them, old evidence fades, contexts share strength, and it learns."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.decision import bandit
from state.decision.bandit import LEARNER_CODEC, Bandit, Cell, Learner
from state.decision.bandit_policy import BanditPolicy
from state.decision.propensity import draw, probability_best, with_floor_and_caps
from state.duration import DAY, MINUTE
from state.logistic_regression import Floats
from state.snapshot_codec import SnapshotError

POLICY = BanditPolicy()
AT = 1_772_442_000_000
ARMS = ("a", "b", "c")

Observation = tuple[str, str, bool, int]


def by_chance(mean: Floats, covariance: Floats, draws: int = 100_000) -> Floats:
    """Probability to be the best, by brute force."""
    samples = np.random.default_rng(1).multivariate_normal(mean, covariance, draws, method="eigh")
    return np.bincount(samples.argmax(axis=1), minlength=len(mean)) / draws


@pytest.mark.parametrize(("arms", "error"), [(2, 0.006), (3, 0.01), (4, 0.015), (6, 0.015)])
def test_probabilities_agree_with_monte_carlo(arms: int, error: float) -> None:
    """Its own error at 100,000 draws is up to 0.005."""
    world = np.random.default_rng(arms)
    for _ in range(25):
        loads = world.normal(size=(arms, arms)) * world.uniform(0.05, 1.0, (arms, 1))
        mean: Floats = world.normal(0, 0.5, arms)
        covariance: Floats = loads @ loads.T + world.uniform(0, 2)
        assert probability_best(mean, covariance) == pytest.approx(by_chance(mean, covariance), abs=error)


@pytest.mark.parametrize("arms", range(1, 9))
def test_arms_of_which_the_same_is_believed_have_the_same_chances(arms: int) -> None:
    assert probability_best(np.zeros(arms), 0.3 * np.eye(arms) + 0.2) == pytest.approx([1 / arms] * arms, abs=1e-12)


@pytest.mark.parametrize("spread", [0.0, 1e-12, 1.0, 1e12])
@pytest.mark.parametrize("arms", [2, 3, 5])
def test_extreme_certainties_do_not_break_the_numbers(arms: int, spread: float) -> None:
    means: list[Floats] = [np.linspace(0.0, 1e4, arms), np.zeros(arms), np.linspace(0.0, -1e-3, arms)]
    for mean in means:
        chances = probability_best(mean, spread * np.eye(arms) + 5.0)
        assert sum(chances) == pytest.approx(1, abs=1e-9)
        assert all(0 <= each <= 1 for each in chances)
    if spread <= 1.0:
        assert probability_best(np.linspace(0.0, 1e4, arms), spread * np.eye(arms) + 5.0) == pytest.approx([0.0] * (arms - 1) + [1.0])


def outcomes_until_a_fit(segments: int) -> int:
    """How many outcomes a learner takes that knows so many segments."""
    cells = {f"{arm}|x|{segment}": Cell(successes=1.0, failures=2.0) for arm in ARMS for segment in range(segments)}
    learner = Bandit(POLICY, Learner(version=100, fitted=100, origin=AT, fitted_at=AT, contexts=cells))
    for number in range(1, 100):
        learner.observe("a", "x|0", True, AT + number)
        if learner.learn(AT + number, ARMS):
            return number
    raise AssertionError("never fitted")


def test_a_learner_with_many_effects_waits_for_more_outcomes() -> None:
    assert outcomes_until_a_fit(2) == bandit.REFIT_SOON
    assert outcomes_until_a_fit(60) == (1 + 3 + 60 + 1 + 160 + 3) // bandit.EFFECTS_PER_OUTCOME


weights = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8).filter(lambda each: sum(each) > 0.01)


@given(weights, st.floats(0, 0.5), st.data())
def test_shares_sum_to_one_keep_the_floor_and_the_caps(given_weights: list[float], floor: float, data: st.DataObject) -> None:
    chances = [each / sum(given_weights) for each in given_weights]
    caps = data.draw(st.lists(st.sampled_from([0.15, 0.4, 1.0]), min_size=len(chances), max_size=len(chances)))
    found = with_floor_and_caps(chances, floor, caps)
    least = min(floor, 1 / len(chances))
    assert sum(found) == pytest.approx(1, abs=1e-9)
    assert min(found) >= least - 1e-12
    if 1.0 in caps:
        free = sum(share for share, cap in zip(with_floor_and_caps(chances, floor, [1.0] * len(caps)), caps, strict=True) if cap == 1.0)
        if free > 1e-9:
            assert all(share <= max(cap, least) + 1e-9 for share, cap in zip(found, caps, strict=True))
    else:
        assert found == pytest.approx(with_floor_and_caps(chances, floor, [1.0] * len(caps)))


def test_a_floor_for_more_arms_than_it_can_serve_makes_them_equal() -> None:
    assert with_floor_and_caps([0.9] + [0.01] * 10, 0.2, [1.0] * 11) == pytest.approx([1 / 11] * 11)


observations = st.lists(
    st.tuples(st.sampled_from(ARMS), st.sampled_from(["x|*", "y|*"]), st.booleans(), st.integers(0, 400 * DAY)), max_size=60
)
policies = st.builds(
    BanditPolicy,
    prior_rate=st.floats(0.05, 0.95),
    prior_weight=st.floats(0.5, 50),
    half_life=st.sampled_from(["5m", "1d", "60d", "1000d"]),
    exploration_floor=st.floats(0, 0.2),
)


def taught(policy: BanditPolicy, given_observations: list[Observation]) -> Bandit:
    learner = Bandit(policy, Learner())
    for arm, context, success, after in sorted(given_observations, key=lambda each: each[3]):
        learner.observe(arm, context, success, AT + after)
        learner.learn(AT + after, ARMS)
    return learner


def rate(learner: Bandit, arm: str, context: str) -> float:
    alpha, beta = learner.posterior.rate(arm, context)
    return alpha / (alpha + beta)


@given(observations, policies)
def test_propensities_sum_to_one_and_none_is_below_the_floor(given_observations: list[Observation], policy: BanditPolicy) -> None:
    chances = taught(policy, given_observations).propensities(ARMS, "x|*")
    assert sum(chances) == pytest.approx(1, abs=1e-9)
    assert min(chances) >= policy.exploration_floor - 1e-12


@given(observations, policies)
def test_fading_in_growing_units_is_fading_observation_by_observation(given_observations: list[Observation], policy: BanditPolicy) -> None:
    """Also over the rescaling, which short half-lives reach many times."""
    learner = taught(policy, given_observations).learner
    known = sorted(given_observations, key=lambda each: each[3])[: learner.fitted]
    scale = 1 / bandit.weight(learner, policy.half_life, learner.fitted_at)
    for arm in ARMS:
        for context in ("x|*", "y|*"):
            faded = [
                (success, 0.5 ** ((learner.fitted_at - AT - when) / policy.half_life))
                for name, where, success, when in known
                if (name, where) == (arm, context)
            ]
            cell = learner.contexts.get(f"{arm}|{context}", Cell())
            assert cell.successes * scale == pytest.approx(
                sum(each for success, each in faded if success), rel=1e-6, abs=bandit.MIN_CELL_WEIGHT
            )
            assert cell.failures * scale == pytest.approx(
                sum(each for success, each in faded if not success), rel=1e-6, abs=bandit.MIN_CELL_WEIGHT
            )


def test_rescaling_changes_nothing_that_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = BanditPolicy.model_validate({"half_life": "1d"})
    history = [("ab"[day % 2], "xy"[day % 3 % 2] + "|*", day % 5 < 2, day * DAY // 4) for day in range(60)]
    plain = taught(policy, history)
    monkeypatch.setattr(bandit, "_RESCALE_AT", 2.0)
    often = taught(policy, history)
    assert often.learner.origin != plain.learner.origin
    for context in ("x|*", "y|*", "z|*"):
        for arm in "ab":
            assert often.posterior.rate(arm, context) == pytest.approx(plain.posterior.rate(arm, context))


def test_cells_that_have_faded_are_forgotten() -> None:
    policy = BanditPolicy.model_validate({"half_life": "1d"})
    learner = taught(policy, [("a", "x|*", True, 0), ("a", "y|*", True, 60 * DAY)])
    assert list(learner.learner.contexts) == ["a|y|*"]


@pytest.mark.parametrize("after", [-3_000 * DAY, 3_000 * DAY, 3_000_000 * DAY])
def test_no_pause_however_long_breaks_a_learner_with_a_short_half_life(after: int) -> None:
    policy = BanditPolicy.model_validate({"half_life": "1m"})
    learner = taught(policy, [("a", "x|*", True, 0)] * 3)
    learner.observe("a", "x|*", False, AT + after)
    learner.learn(AT + max(after, 0), ARMS)
    learner.observe("b", "x|*", False, AT + after + MINUTE)
    learner.learn(AT + max(after, 0) + MINUTE, ARMS)
    assert math.isfinite(rate(learner, "a", "x|*"))
    assert sum(learner.propensities(ARMS, "x|*")) == pytest.approx(1)


def test_a_learner_takes_in_no_more_contexts_than_it_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bandit, "MOST_CONTEXTS", 3)
    learner = taught(POLICY, [("a", f"x|{number % 7}", True, 0) for number in range(60)])
    assert len(learner.learner.contexts) == 3


def test_a_context_without_data_believes_what_all_contexts_together_say() -> None:
    learner = taught(POLICY, [("a", f"{step}|*", number % 4 == 0, 0) for number in range(400) for step in "xyz"])
    assert rate(learner, "a", "new|*") == pytest.approx(0.25, abs=0.03)
    assert learner.posterior.rate("a", "*").alpha == pytest.approx(300, rel=0.15)
    assert sum(learner.posterior.rate("a", "new|*")) < 60 < sum(learner.posterior.rate("a", "x|*"))


@pytest.mark.slow
def test_a_context_with_much_data_believes_its_own_eyes() -> None:
    learner = taught(POLICY, [("a", "x|*", False, 0)] * 2_000 + [("a", "y|*", number % 10 < 8, 0) for number in range(2_000)])
    assert rate(learner, "a", "y|*") == pytest.approx(0.8, abs=0.02)
    assert rate(learner, "a", "x|*") == pytest.approx(0.0, abs=0.02)


def test_what_one_step_shows_helps_another_step_of_the_same_segment() -> None:
    history = [
        (arm, f"x|{segment}", number % 10 < (6 if arm == segment else 3), 0) for number in range(300) for arm in "ab" for segment in "ab"
    ]
    learner = taught(POLICY, history)
    for segment in "ab":
        first, second = learner.propensities(("a", "b"), f"y|{segment}")
        assert (first > second) == (segment == "a")
        assert max(first, second) > 0.75


def test_an_arm_that_was_never_tried_has_the_prior() -> None:
    learner = Bandit(POLICY, Learner())
    assert rate(learner, "a", "*") == pytest.approx(0.3, abs=0.05)
    assert learner.propensities(ARMS, "x|*") == pytest.approx([1 / 3] * 3)


def test_an_arm_just_seen_gives_way_until_it_is_rested() -> None:
    learner = Bandit(POLICY, Learner())
    firsts = [learner.propensities(ARMS, "x|*", (rest, 1.0, 1.0))[0] for rest in (0.0, 0.5, 1.0)]
    assert firsts == sorted(firsts)
    assert firsts[0] < 0.25 < firsts[2] == pytest.approx(1 / 3)
    mean, covariance = learner.posterior.logits(ARMS, "x|*")
    chances = by_chance(mean - [0.5 * POLICY.repeat_penalty, 0.0, 0.0], covariance * POLICY.curiosity**2)
    assert firsts[1] == pytest.approx(max(chances[0], 0.05), abs=0.01)
    assert learner.propensities(ARMS, "x|*") == pytest.approx([1 / 3] * 3)


def test_draws_follow_the_propensities_over_many_decisions() -> None:
    chances = (0.05, 0.15, 0.8)
    drawn = Counter(draw(chances, f"decision {number}") for number in range(20_000))
    for arm, chance in enumerate(chances):
        assert drawn[arm] / 20_000 == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / 20_000))


@given(st.text(), st.lists(st.floats(0.01, 1), min_size=1, max_size=6))
def test_the_same_decision_draws_the_same_and_always_an_arm_that_is_there(decision: str, given_weights: list[float]) -> None:
    decision = decision.encode("utf-8", "replace").decode()
    chances = [each / sum(given_weights) for each in given_weights]
    assert draw(chances, decision) == draw(chances, decision)
    assert 0 <= draw(chances, decision) < len(chances)


def test_rounding_never_leaves_a_draw_without_an_arm() -> None:
    assert draw((0.0, 0.0, 0.0), "x") == 2


def test_an_arm_without_a_chance_is_never_drawn() -> None:
    assert {draw((0.0, 1.0), f"decision {number}") for number in range(500)} == {1}


# Newcomers


def established(policy: BanditPolicy = POLICY) -> Bandit:
    """Two arms that succeed three times in ten, long known."""
    return taught(policy, [(arm, "x|*", number % 10 < 3, number) for number in range(600) for arm in "ab"])


def test_an_arm_that_is_new_among_established_ones_begins_small_and_grows_with_its_outcomes() -> None:
    learner, seen = established(), []
    for number in range(POLICY.newcomer_trials + 60):
        seen.append(learner.propensities(ARMS, "x|*")[2])
        learner.observe("c", "x|*", number % 10 < 9, AT + DAY)
        learner.learn(AT + DAY, ARMS)
    assert seen[0] <= POLICY.newcomer_share
    halfway = POLICY.newcomer_trials // 2
    assert seen[halfway] == pytest.approx(POLICY.newcomer_share + (1 - POLICY.newcomer_share) / 2, abs=0.01)
    assert seen[-1] == pytest.approx(0.9, abs=0.001)


def test_a_new_arm_takes_nothing_over_from_its_old_version() -> None:
    learner = taught(
        POLICY, [(arm, "x|*", number % 10 < (9 if arm == "a@1" else 3), number) for number in range(600) for arm in ("a@1", "b@1")]
    )
    assert rate(learner, "a@1", "x|*") > 0.85
    mean, covariance = learner.posterior.logits(["a@2", "c@1"], "x|*")
    assert mean[0] == pytest.approx(mean[1])
    assert covariance[0, 0] == pytest.approx(covariance[1, 1])


def test_where_all_arms_are_new_none_is_held_back() -> None:
    learner = taught(POLICY, [("a", "x|*", True, number) for number in range(5)])
    assert learner.propensities(ARMS, "x|*")[0] > 0.3
    assert learner.learner.newcomers == []
    alone = established()
    assert alone.propensities(("c",), "x|*") == (1.0,)
    assert alone.propensities(("c", "d"), "x|*") == pytest.approx((0.5, 0.5))


# Harm


def run(policy: BanditPolicy, rates: dict[str, float], decisions: int, seed: int) -> Bandit:
    """Decide and learn, every outcome known at once."""
    world, learner = np.random.default_rng(seed), Bandit(policy, Learner())
    for number in range(decisions):
        arms = [arm for arm in rates if arm not in learner.learner.stopped]
        at, context = AT + number * MINUTE, f"{'xyz'[number % 3]}|{'mn'[number // 3 % 2]}"
        arm = arms[draw(learner.propensities(arms, context), f"{seed} {number}")]
        learner.observe(arm, context, bool(world.random() < rates[arm]), at)
        learner.learn(at, list(rates))
    return learner


def test_an_arm_that_does_harm_is_stopped_and_the_figures_say_why() -> None:
    learner, stops = established(), []
    for number in range(400):
        learner.observe("c", "x|*", number % 20 < 3, AT + DAY)
        stops += [stop for news in learner.learn(AT + DAY, ARMS) for stop in news.stops]
    (stop,) = stops
    assert stop.arm == "c"
    assert stop.confidence >= POLICY.stop_confidence
    assert stop.rate == pytest.approx(0.16, abs=0.03)
    assert stop.others_rate == pytest.approx(0.3, abs=0.03)
    assert stop.outcomes >= POLICY.stop_after
    assert list(learner.learner.stopped) == ["c"]


def test_harm_is_the_posterior_probability_to_lack_the_margin() -> None:
    """Against draws from the same posterior."""
    learner = taught(
        POLICY, [(arm, f"{step}|*", number % 10 < 3 - (arm == "c"), number) for number in range(60) for arm in ARMS for step in "xy"]
    )
    found = learner.posterior.compare("c", ["a", "b"], 0.025)
    rows = [(arm, context) for arm in ARMS for context in ("x|*", "y|*")]
    mean, covariance = learner.posterior.fit.predict(learner.posterior.rows(rows))
    draws = np.random.default_rng(1).multivariate_normal(mean, covariance, 100_000, method="eigh")
    by_arm = (1 / (1 + np.exp(-draws))).reshape(-1, 3, 2).mean(axis=2)
    lacking = by_arm[:, 2] - by_arm[:, :2].mean(axis=1)
    assert found.confidence == pytest.approx(float((lacking < -0.025).mean()), abs=0.02)
    assert found.rate == pytest.approx(float(by_arm[:, 2].mean()), abs=0.003)
    assert found.others_rate == pytest.approx(float(by_arm[:, :2].mean()), abs=0.003)


@pytest.mark.slow
def test_the_last_arm_is_never_stopped() -> None:
    policy = BanditPolicy(stop_after=20, stop_looks=1, stop_confidence=0.9, harm_margin=0.0)
    for seed in range(5):
        assert len(run(policy, {"a": 0.5, "b": 0.1, "c": 0.02}, 600, seed).learner.stopped) <= 2


def test_one_look_at_which_an_arm_looks_harmful_does_not_stop_it() -> None:
    learner = established()
    for _ in range(POLICY.stop_after):
        learner.observe("c", "x|*", False, AT + DAY)
    fits = learner.learn(AT + DAY, ARMS)
    assert sum(1 for news in fits if news.stops) == 0
    for _ in range(200):
        learner.observe("c", "x|*", False, AT + DAY)
    stopped_at = [news.version for news in learner.learn(AT + DAY, ARMS) if news.stops]
    assert len(stopped_at) == 1


@pytest.mark.parametrize(
    ("rate_of_all", "worlds", "most"),
    [(0.4, 2, 0), pytest.param(0.4, 6, 1, marks=pytest.mark.slow), pytest.param(0.15, 6, 1, marks=pytest.mark.slow)],
)
def test_where_all_arms_are_equal_hardly_one_is_stopped(rate_of_all: float, worlds: int, most: int) -> None:
    """Small worlds of 2,000 decisions; the benchmark's scenario ``null`` has the figure for many."""
    stopped = [run(POLICY, dict.fromkeys(ARMS, rate_of_all), 2_000, seed).learner.stopped for seed in range(worlds)]
    assert sum(map(len, stopped)) <= most


# Delayed outcomes


def test_an_outcome_is_learned_when_its_window_closes_and_not_before() -> None:
    learner = Bandit(POLICY, Learner())
    learner.observe("a", "x|*", True, AT, AT + DAY)
    learner.learn(AT + DAY - 1, ARMS)
    assert learner.learner.version == 0
    learner.learn(AT + DAY, ARMS)
    assert learner.learner.version == 1


def test_quick_successes_do_not_favour_what_was_shown_lately() -> None:
    """Two arms with the same rate, one of them new; its successes are in after minutes, its failures after a day."""
    held, hasty = established(), established()
    for number in range(200):
        success, shown = number % 10 < 3, AT + DAY + number * MINUTE
        closes = shown + DAY
        held.observe("c", "x|*", success, shown + MINUTE if success else closes, closes)
        hasty.observe("c", "x|*", success, shown + MINUTE if success else closes)
    for learner in (held, hasty):
        learner.learn(AT + DAY + 300 * MINUTE, ARMS)
    assert rate(hasty, "c", "x|*") > 0.6
    assert rate(held, "c", "x|*") == pytest.approx(0.3, abs=0.03)
    held.learn(AT + 3 * DAY, ARMS)
    assert rate(held, "c", "x|*") == pytest.approx(0.3, abs=0.06)


def test_outcomes_are_learned_in_the_order_in_which_their_windows_close() -> None:
    learner = Bandit(POLICY, Learner())
    for number in (3, 1, 2):
        learner.observe(f"a{number}", "x|*", True, AT, AT + number)
    learner.learn(AT + 9, ARMS)
    assert list(learner.learner.trials) == ["a1", "a2", "a3"]


# Writing down


@settings(max_examples=30)
@given(observations, st.integers(0, 60), st.integers(0, 3 * DAY))
def test_a_learner_written_down_anywhere_chooses_exactly_as_one_that_ran_on(history: list[Observation], cut: int, delay: int) -> None:
    straight, parts = Bandit(POLICY, Learner()), Bandit(POLICY, Learner())
    for number, (arm, context, success, after) in enumerate(sorted(history, key=lambda each: each[3])):
        if number == cut:
            parts = Bandit(POLICY, LEARNER_CODEC.decode(LEARNER_CODEC.encode(parts.learner)))
        told = []
        for learner in (straight, parts):
            learner.observe(arm, context, success, AT + after, AT + after + delay)
            learner.learn(AT + after, ARMS)
            told.append(learner.propensities(ARMS, context))
        assert told[0] == told[1]
    assert straight.learner == parts.learner


@given(observations, st.dictionaries(st.text(max_size=5), st.sampled_from(ARMS), max_size=5))
def test_a_learner_written_down_and_read_back_is_the_same(given_observations: list[Observation], pending: dict[str, str]) -> None:
    learner = taught(POLICY, given_observations).learner
    learner.pending = {key.encode("utf-8", "replace").decode(): arm for key, arm in pending.items()}
    assert LEARNER_CODEC.decode(LEARNER_CODEC.encode(learner)) == learner


def test_a_learner_of_a_later_release_or_a_damaged_one_is_refused_in_words() -> None:
    data = LEARNER_CODEC.encode(taught(POLICY, [("a", "x|*", True, 0)]).learner)
    with pytest.raises(SnapshotError, match=r"version 9, .*newer release: upgrade"):
        LEARNER_CODEC.decode(b"\x09" + data[1:])
    with pytest.raises(SnapshotError, match="damaged"):
        LEARNER_CODEC.decode(data[:-1])
    with pytest.raises(SnapshotError):
        LEARNER_CODEC.decode(b"")


@pytest.mark.parametrize(("before", "after"), [("1d", "60d"), ("60d", "1d")])
def test_a_new_half_life_says_how_evidence_fades_from_now_on_and_leaves_what_there_is(before: str, after: str) -> None:
    known = Bandit(BanditPolicy.model_validate({"half_life": before}), Learner())
    for day in range(40):
        for arm in ("a", "b"):
            known.observe(arm, "x|*", day % 3 == 0, AT + day * DAY)
            known.learn(AT + day * DAY, ())
    again = Bandit(BanditPolicy.model_validate({"half_life": after}), LEARNER_CODEC.decode(LEARNER_CODEC.encode(known.learner)))
    for arm in ("a", "b"):
        assert again.posterior.rate(arm, "x|*") == pytest.approx(known.posterior.rate(arm, "x|*"))
    same = Bandit(BanditPolicy.model_validate({"half_life": before}), LEARNER_CODEC.decode(LEARNER_CODEC.encode(known.learner)))
    assert same.learner == known.learner


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_finds_the_best_arm_and_wins_clearly_more_than_by_chance(seed: int) -> None:
    """Two contexts with different best arms; chance would win 0.25 of the time, the best arms 0.4."""
    rates = {"x|*": {"a": 0.40, "b": 0.20, "c": 0.15}, "y|*": {"a": 0.15, "b": 0.20, "c": 0.40}}
    world, learner, wins, best = np.random.default_rng(seed), Bandit(POLICY, Learner()), 0, Counter[str]()
    for number in range(3_000):
        context = ("x|*", "y|*")[number % 2]
        at = AT + number * MINUTE
        arm = ARMS[draw(learner.propensities(ARMS, context), f"{seed} {number}")]
        success = bool(world.random() < rates[context][arm])
        learner.observe(arm, context, success, at)
        learner.learn(at, ())
        wins += success
        if number >= 2_000:
            best[context] += rates[context][arm] == 0.40
    assert wins / 3_000 > 0.30
    assert min(best["x|*"], best["y|*"]) > 300


# Change


def _lives(seed: int, days: int, rate: Callable[[str, int], float]) -> Bandit:
    """A learner that sees 200 outcomes a day, of arms chosen by itself; ``rate`` is an arm's on a day."""
    rng, learner = Random(seed), Bandit(POLICY, Learner())
    for number in range(200 * days):
        at = AT + number * DAY // 200
        learner.learn(at, ARMS)
        arm = rng.choices(ARMS, learner.propensities(ARMS, "x|*"))[0]
        learner.observe(arm, "x|*", rng.random() < rate(arm, number // 200), at)
    learner.learn(AT + days * DAY, ARMS)
    return learner


@pytest.mark.parametrize("seed", range(3))
def test_when_the_best_arm_changes_the_past_is_given_up_for_the_last_days(seed: int) -> None:
    first, last = ARMS[0], ARMS[-1]
    found = _lives(seed, 16, lambda arm, day: 0.6 if arm == (first if day < 8 else last) else 0.3)
    assert found.learner.changes >= 1
    assert rate(found, last, "x|*") > rate(found, first, "x|*")
    assert dict(zip(ARMS, found.propensities(ARMS, "x|*"), strict=True))[last] > 0.6


@pytest.mark.parametrize(("lives", "most"), [(2, 0), pytest.param(8, 1, marks=pytest.mark.slow)])
def test_while_nothing_changes_the_past_is_kept(lives: int, most: int) -> None:
    changes = [_lives(seed, 16, lambda arm, _: 0.6 if arm == ARMS[0] else 0.4).learner.changes for seed in range(lives)]
    assert sum(changes) <= most


def test_doubt_and_changes_survive_a_restart() -> None:
    found = _lives(1, 10, lambda arm, day: 0.7 if arm == ARMS[0 if day < 8 else -1] else 0.2)
    again = Bandit(POLICY, LEARNER_CODEC.decode(LEARNER_CODEC.encode(found.learner)))
    assert (again.learner.change_evidence, again.learner.changes) == (found.learner.change_evidence, found.learner.changes)
    assert again.propensities(ARMS, "x|*") == found.propensities(ARMS, "x|*")
