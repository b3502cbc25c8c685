"""Off-policy values: known answers, refusals, and coverage under a logger that adapts. Longer runs: benchmarks/coverage_off_policy.py."""

from __future__ import annotations

import dataclasses
import io
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from benchmarks.coverage_off_policy import measure
from benchmarks.coverage_worlds import ARMS, thompson_logs
from evaluation.arrays import Floats
from evaluation.evidence import Evidence
from evaluation.logged import Logged, logged, logged_frame
from evaluation.off_policy import Method, Refused, Value, evaluate, evaluate_named, without_weight
from evaluation.policies import PolicyError, fixed, greedy, parse, table, uniform
from reports.policy_value import estimate, show
from state.duration import DAY
from tests.evaluation.cases import healthy_run
from tests.support.placebo import shuffle_outcomes, shuffle_rewards

METHODS: tuple[Method, ...] = ("ips", "snips", "dr", "stabilised")


def _log(size: int = 2_000, seed: int = 1, sleeping: float = 0.0) -> tuple[Logged, Floats]:
    return next(thompson_logs(1, size, np.random.default_rng(seed), sleeping=sleeping))


def _value(log: Logged, policy: object, method: Method = "dr") -> Value:
    result = evaluate(log, policy, method=method)  # type: ignore[arg-type]
    assert isinstance(result, Value)
    return result


def test_ips_and_snips_by_hand() -> None:
    log = Logged(
        arms=("a", "b"),
        contexts=(("signup", "s", "*"),),
        context=np.zeros(4, dtype=np.int64),
        chosen=np.array([0, 0, 1, 1]),
        eligible=np.ones((4, 2), dtype=np.bool_),
        propensities=np.array([[0.8, 0.2], [0.5, 0.5], [0.5, 0.5], [0.6, 0.4]]),
        rewards=np.array([1.0, 0.0, 1.0, 1.0]),
    )
    result = evaluate(log, fixed("b"), method="ips", least_effective=0)
    assert isinstance(result, Value)
    assert result.estimate == pytest.approx((1 / 0.5 + 1 / 0.4) / 4)
    assert result.effective == pytest.approx((2 + 2.5) ** 2 / (4 + 6.25))
    normalised = evaluate(log, fixed("b"), method="snips", least_effective=0)
    assert isinstance(normalised, Value)
    assert normalised.estimate == 1.0


@pytest.mark.parametrize("method", METHODS)
def test_the_value_of_the_logging_policy_is_its_mean_reward(method: Method) -> None:
    log, _ = _log(3_000)
    result = _value(log, lambda some: some.propensities, method)
    assert result.estimate == pytest.approx(log.rewards.mean(), abs=0.02)
    assert result.effective == pytest.approx(3_000)


def test_the_outcome_model_makes_the_interval_narrower_and_keeps_it_valid() -> None:
    log, mu = _log(4_000)
    true = float((uniform(log) * mu).sum(axis=1).mean())
    robust, weighted = _value(log, uniform, "dr"), _value(log, uniform, "ips")
    assert robust.upper - robust.lower < 0.85 * (weighted.upper - weighted.lower)
    assert robust.lower <= true <= robust.upper
    assert weighted.lower <= true <= weighted.upper


def test_the_always_valid_interval_contains_the_fixed_sample_one() -> None:
    result = _value(_log()[0], uniform)
    assert result.always_lower < result.lower < result.estimate < result.upper < result.always_upper


@pytest.mark.slow
def test_intervals_cover_under_an_adaptive_logger() -> None:
    """At 120 logs of 1,500 decisions 95 % coverage gives at least 109 in all but one run of ten thousand."""
    figures = measure(120, 1_500, seed=4, sleeping=0.3, looks=4)
    for policy in ("uniform", "arm:passive", "table"):
        assert figures[f"{policy}/dr"]["coverage"] >= 109 / 120
        assert figures[f"{policy}/dr"]["always"] >= 0.95
        assert abs(figures[f"{policy}/dr"]["bias"]) < 0.012


@pytest.mark.parametrize("method", METHODS)
def test_with_shuffled_rewards_every_value_is_the_mean_reward(method: Method) -> None:
    log, _ = _log(3_000)
    for policy in (uniform, fixed("passive"), table({"engineer": "visual", "analyst": "moderate"})):
        result = _value(shuffle_rewards(log, 5), policy, method)
        assert result.lower - 0.02 <= log.rewards.mean() <= result.upper + 0.02


def test_too_small_a_log_is_refused_with_a_reason() -> None:
    small, _ = _log(90)
    refused = evaluate(small, uniform)
    assert isinstance(refused, Refused)
    assert "100 are needed" in refused.reason
    nothing = evaluate_named(Evidence.of(until=0), "uniform")
    assert isinstance(nothing, Refused)
    assert nothing.decisions == 0


def test_a_policy_with_arms_that_the_log_could_never_show_is_refused() -> None:
    log, _ = _log(500)
    chances = log.propensities.copy()
    chances[:, 0] = 0
    never = Logged(log.arms, log.contexts, log.context, np.maximum(1, log.chosen), log.eligible, chances, log.rewards)
    refused = evaluate(never, uniform)
    assert isinstance(refused, Refused)
    assert "could never show (aggressive)" in refused.reason


def test_greedy_learns_on_one_part_and_is_valued_on_the_rest() -> None:
    log, mu = _log(6_000, seed=3)
    learned = greedy(log.part(0, 3_000))
    rest = log.part(3_000, 6_000)
    assert float((learned(rest) * mu[3_000:]).sum(axis=1).mean()) > float((uniform(rest) * mu[3_000:]).sum(axis=1).mean()) + 0.02
    changed = dataclasses.replace(log, rewards=np.concatenate([log.rewards[:3_000], 1 - log.rewards[3_000:]]))
    assert (greedy(changed.part(0, 3_000))(rest) == learned(rest)).all()
    with pytest.raises(PolicyError, match="only on the rest"):
        learned(Logged(("x",), log.contexts, log.context, log.chosen, log.eligible, log.propensities, log.rewards))


def test_an_ineligible_arm_is_replaced_by_the_uniform_choice() -> None:
    log, _ = _log(400, sleeping=0.5)
    chances = fixed(ARMS[-1])(log)
    assert chances.sum(axis=1) == pytest.approx(1)
    assert not chances[~log.eligible].any()
    ineligible = ~log.eligible[:, -1]
    assert chances[ineligible] == pytest.approx(uniform(log)[ineligible])
    assert (chances[~ineligible, -1] == 1).all()


def test_policies_are_parsed_from_the_command_line() -> None:
    log, _ = _log(200)
    for text, policy in (("uniform", uniform), ("arm:passive", fixed("passive")), ("table:engineer=visual, analyst=passive", None)):
        read = parse(text)
        assert read is not None
        expected = (policy or table({"engineer": "visual", "analyst": "passive"}))(log)
        assert (read(log) == expected).all()
    assert parse("greedy") is None
    for wrong in ("", "arm:", "table:a", "best", "uniform:x", "table:a=,b=c"):
        with pytest.raises(PolicyError, match="a policy is uniform"):
            parse(wrong)
    with pytest.raises(PolicyError, match="the table names analyst more than once"):
        parse("table:analyst=visual,engineer=visual,analyst=passive")
    with pytest.raises(PolicyError, match="no decision of the log could choose the arm loud"):
        fixed("loud")(log)


def test_a_table_with_a_segment_or_an_arm_that_the_log_does_not_have_is_refused() -> None:
    log, _ = _log(200)
    known = ", ".join(sorted({segment for _, _, segment in log.contexts}))
    with pytest.raises(PolicyError, match=f"no decision of the log is of the segments Engineer, analysts; its segments are {known}$"):
        table({"Engineer": "visual", "analyst": "passive", "analysts": "passive"})(log)
    with pytest.raises(PolicyError, match="no decision of the log could choose the arm loud"):
        table({"analyst": "visual", "engineer": "loud"})(log)
    many = dataclasses.replace(log, contexts=tuple(("signup", "s", f"segment {number:02}") for number in range(25)))
    with pytest.raises(PolicyError, match=r"of the segment other; its segments are segment 00, .*, segment 19 and 5 more$"):
        table({"other": "visual"})(many)


def test_a_policy_is_compared_with_what_was_logged_on_the_decisions_that_it_is_valued_on() -> None:
    """The greedy policy is valued on the last 70 %. On the first 30 % nothing succeeded yet, for a reason that is none of an arm."""
    evidence, _ = healthy_run()
    log = logged(evidence)
    early = logged_frame(evidence)["decision_id"].head(int(0.3 * len(log)))
    slow = pl.col("decision_id").is_in(early.implode()) & (pl.col("kind") == "success")
    outcomes = evidence.outcomes.with_columns(kind=pl.when(slow).then(pl.lit("failure")).otherwise("kind"))
    changed = replace(evidence, outcomes=outcomes)
    for policy, rewards in (("greedy", log.rewards[len(early) :]), ("uniform", logged(changed).rewards)):
        found, mean, notes = estimate(changed, policy, None)
        assert mean == pytest.approx(rewards.mean())
        assert {each.decisions for each in found.values()} == {len(rewards)}
        console = Console(file=io.StringIO(), width=200)
        show(console, policy, None, found, mean, notes, "")
        assert isinstance(console.file, io.StringIO)
        assert f"On these {len(rewards):,} decisions what was logged earned {100 * rewards.mean():.1f} %." in console.file.getvalue()


def test_names_that_only_other_decisions_have_get_no_weight_and_are_said() -> None:
    """A table that fits the catalog is no error because a rare segment has no shown decision yet."""
    evidence, _ = healthy_run()
    first = evidence.decisions.filter(pl.col("outcome") == "decided").head(1)
    loud = {"arm": pl.lit("loud"), "arms": pl.lit([["loud"]]).list.first()}
    rare = first.with_columns(decision_id=pl.lit("rare"), segment=pl.lit("executive"), **loud)
    known = replace(evidence, decisions=pl.concat([evidence.decisions, rare]))
    some = evaluate_named(known, "table:engineer=bold")
    assert isinstance(some, Value)
    assert without_weight(known, "table:engineer=bold") == []
    text = "table:engineer=bold,executive=calm"
    console = Console(file=io.StringIO(), width=200)
    found, mean, notes = estimate(known, text, None)
    show(console, text, None, found, mean, notes, "")
    assert isinstance(console.file, io.StringIO)
    assert "\n  No shown decision of executive has closed; it has no weight.\n" in console.file.getvalue()
    for text, said in {
        "table:engineer=bold,executive=calm": ["no shown decision of executive has closed; it has no weight"],
        "table:engineer=bold,executive=loud": [
            "no shown decision of executive has closed; it has no weight",
            "no shown decision that could choose loud has closed; it has no weight",
        ],
    }.items():
        assert evaluate_named(known, text) == some
        assert without_weight(known, text) == said
    for nothing in ("table:executive=calm", "table:engineer=loud", "arm:loud"):
        refused = evaluate_named(known, nothing)
        assert isinstance(refused, Refused)
        assert refused.decisions == len(logged(known))
        assert refused.reason == "nothing that the policy names has weight"
    with pytest.raises(PolicyError, match=r"no decision of the log is of the segment nobody; its segments are engineer, executive$"):
        evaluate_named(known, "table:nobody=bold,executive=calm")
    for text in ("table:executive=shy", "arm:shy"):
        with pytest.raises(PolicyError, match=r"could choose the arm shy; its arms are bold, calm, loud, plain$"):
            evaluate_named(known, text)


def test_names_that_only_another_trigger_has_are_no_error() -> None:
    evidence, _ = healthy_run()
    other = evidence.decisions.head(1).with_columns(decision_id=pl.lit("o"), trigger=pl.lit("signup"), segment=pl.lit("executive"))
    known = replace(evidence, decisions=pl.concat([evidence.decisions, other]))
    found = evaluate_named(known, "table:engineer=bold,executive=bold", trigger="stuck:inactive")
    assert found == evaluate_named(known, "table:engineer=bold", trigger="stuck:inactive")
    assert isinstance(found, Value)


def test_early_successes_do_not_count_before_their_window_closes() -> None:
    """In a run cut off in the middle only successes of the newest decisions have ended, and these must not count."""
    evidence, _ = healthy_run()
    cut = int(evidence.outcomes.filter(pl.col("kind") == "shown")["occurred_at"].median())  # type: ignore[arg-type]
    early = replace(evidence, until=cut, outcomes=evidence.outcomes.filter(pl.col("occurred_at") <= cut))
    log = logged(early)
    shown = early.outcomes.filter((pl.col("kind") == "shown") & (pl.col("occurred_at") + DAY <= cut))
    assert len(log) == shown.height
    halfway = replace(evidence, until=cut + DAY, outcomes=evidence.outcomes.filter(pl.col("occurred_at") <= cut + DAY))
    assert len(logged(halfway)) == evidence.outcomes.filter((pl.col("kind") == "shown") & (pl.col("occurred_at") <= cut)).height


def test_each_decision_counts_once_the_window_of_its_own_catalog_has_closed() -> None:
    evidence, _ = healthy_run()
    last = int(evidence.outcomes.filter(pl.col("kind") == "shown")["occurred_at"].max())  # type: ignore[arg-type]
    promises = {"holdout": 0.2, "rules": 0.0, "exploration_floor": 0.0, "template_share": -1.0}
    catalogs = [{"catalog_version": name, "attribution_window_ms": window, **promises} for name, window in (("p@1", 1), ("p@2", 9 * DAY))]
    in_turn = pl.Series([f"p@{1 + number % 2}" for number in range(evidence.decisions.height)])
    known = Evidence.of(
        until=last + 1,
        decisions=evidence.decisions.with_columns(catalog_version=in_turn),
        outcomes=evidence.outcomes,
        catalogs=catalogs,
    )
    everything = logged_frame(replace(known, until=last + 9 * DAY))
    assert everything["catalog_version"].n_unique() == 2
    assert logged_frame(known).rows() == everything.filter(pl.col("catalog_version") == "p@1").rows()


def test_the_log_is_read_from_shown_decisions_whose_window_has_closed() -> None:
    evidence, _ = healthy_run()
    log = logged(evidence)
    assert log.arms == ("bold", "calm", "plain")
    assert len(log) == evidence.outcomes["decision_id"].n_unique()
    assert log.propensities.sum(axis=1) == pytest.approx(1)
    bold, plain = evaluate_named(evidence, "arm:bold"), evaluate_named(evidence, "arm:plain")
    assert isinstance(bold, Value)
    assert isinstance(plain, Value)
    assert bold.lower <= 0.6 <= bold.upper
    assert plain.lower <= 0.2 <= plain.upper
    assert isinstance(evaluate_named(evidence, "greedy"), Value)
    shuffled = evaluate_named(shuffle_outcomes(evidence, 1), "arm:bold")
    assert isinstance(shuffled, Value)
    assert shuffled.lower <= log.rewards.mean() <= shuffled.upper
