"""The definition of a stuck episode, case by case; then bounds and the score without truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from evaluation.evidence import Evidence
from evaluation.frontier import frontier
from evaluation.stuck import holdout_signals, label_by_holdout, label_by_truth, recovered_alone, score
from evaluation.stuck_bounds import bounds
from evaluation.truth import Episode
from reports.stuck import in_session
from state.duration import DAY, HOUR
from tests.evaluation.cases import START, alarm, episode, person, truth
from tests.evaluation.stuck_cases import H, crowd, evidence, progress, said, statistic
from tests.support.placebo import shuffle_labels
from tests.support.waiting import uses_at_most

LATER = START + 30 * DAY


def _score(*alarms: dict[str, Any], people: list[Episode], bot: bool = False, until: int = LATER) -> Any:
    sealed = truth(*(person(f"u{index}", one, bot=bot) for index, one in enumerate(people)))
    evidence = Evidence.of(until=until, signals=list(alarms))
    return score(label_by_truth(sealed, until), evidence.signals)


@pytest.mark.parametrize(("untreated", "positive"), [(None, True), (10 * HOUR + 1, True), (10 * HOUR, False), (HOUR, False)], ids=str)
def test_an_episode_is_positive_if_it_is_not_completed_untreated_within_the_horizon(untreated: int | None, positive: bool) -> None:
    result = _score(people=[episode(untreated=untreated, done=HOUR)])
    assert (result.episodes, result.positives, result.false_negatives) == (1, positive, positive)


@pytest.mark.parametrize(("at", "matched"), [(-1, False), (0, True), (5 * HOUR, True), (5 * HOUR + 1, False), (9 * HOUR, False)], ids=str)
def test_an_alarm_matches_from_onset_to_half_the_horizon(at: int, matched: bool) -> None:
    result = _score(alarm("u0", at), people=[episode()])
    assert (result.true_positives, result.false_positives, result.false_negatives) == (matched, not matched, not matched)


def test_only_the_first_alarm_of_an_episode_counts() -> None:
    early_then_good = _score(alarm("u0", 2 * HOUR), alarm("u0", -HOUR, trigger="stuck:errors"), people=[episode()])
    assert (early_then_good.alarms, early_then_good.true_positives, early_then_good.false_early) == (1, 0, 1)
    good_twice = _score(alarm("u0", HOUR), alarm("u0", 2 * HOUR), alarm("u0", 9 * HOUR), people=[episode()])
    assert (good_twice.alarms, good_twice.true_positives, good_twice.precision) == (1, 1, 1.0)


def test_alarms_in_the_session_are_counted_by_themselves() -> None:
    there, away = '{"inSession":true}', '{"inSession":false}'
    alarms = [alarm("u0", HOUR, evidence=there), alarm("u1", HOUR, evidence=there), alarm("u2", HOUR, evidence=away), alarm("u3", HOUR)]
    result = _score(*alarms, people=[episode(), episode(untreated=2 * HOUR, done=2 * HOUR), episode(), episode()])
    assert (result.alarms, result.true_positives) == (4, 3)
    assert (result.in_session.alarms, result.in_session.matched, result.in_session.precision) == (2, 1, 0.5)
    said = "Of the 3 times that a user was stuck, 1 was noticed while they were still there, in the session"
    assert in_session(result) == f"{said}; 50.0 % of these 2 alarms are right."
    nobody = _score(people=[episode()])
    assert nobody.in_session.precision is None
    assert in_session(nobody) == "None of the 1 time that a user was stuck was noticed while they were still there, in the session."


def test_an_alarm_without_an_episode_is_false() -> None:
    result = _score(alarm("u0", HOUR, step="install"), alarm("stranger", HOUR), people=[episode()])
    assert (result.alarms, result.false_positives, result.false_elsewhere, result.recall) == (2, 2, 2, 0.0)


def test_an_alarm_for_a_negative_episode_is_false() -> None:
    result = _score(alarm("u0", HOUR), people=[episode(untreated=2 * HOUR, done=2 * HOUR)])
    assert (result.false_positives, result.false_negatives, result.recall) == (1, 0, None)


def test_a_censored_episode_does_not_count() -> None:
    result = _score(alarm("u0", HOUR), people=[episode()], until=START + 10 * HOUR - 1)
    assert (result.episodes, result.censored, result.alarms, result.precision, result.recall) == (0, 1, 0, None, None)
    assert _score(alarm("u0", HOUR), people=[episode()], until=START + 10 * HOUR).true_positives == 1


def test_a_step_without_a_horizon_is_censored() -> None:
    assert _score(alarm("u0", HOUR, step="rare"), people=[episode("rare")]).censored == 1


def test_bots_have_no_episodes_and_their_alarms_are_false_even_when_censored() -> None:
    result = _score(alarm("u0", HOUR), people=[episode()], bot=True, until=START + HOUR)
    assert (result.episodes, result.alarms, result.false_positives, result.false_on_bots) == (0, 1, 1, 1)


def test_the_tables_split_the_score_by_trigger_cause_and_step() -> None:
    people = [episode(cause="errors"), episode(cause="inactive"), episode(cause="errors", untreated=HOUR, done=HOUR)]
    result = _score(alarm("u0", HOUR, trigger="stuck:errors"), alarm("u2", 2, trigger="stuck:errors"), people=people)
    assert result.by_trigger.rows() == [("stuck:errors", 2, 1, 0.5, 9.0 * HOUR)]
    assert result.by_cause.rows() == [("errors", 2, 1, 1, 1.0, 2), ("inactive", 1, 1, 0, 0.0, 0)]
    assert result.by_step.select("step_id", "episodes", "positives", "alarms", "matched").rows() == [("connect", 3, 2, 2, 1)]
    assert (result.lead, result.precision, result.recall, result.f1) == (9 * HOUR, 0.5, 0.5, 0.5)


def _crowd(size: int, seed: int = 1) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return labelled episodes, a third of them positive, and the alarms of a detector that is right three times in four."""
    rng = np.random.default_rng(seed)
    stuck = rng.random(size) < 1 / 3
    took = rng.integers(1, 9 * HOUR, size)
    people = [episode(untreated=None if s else int(t), done=None if s else int(t)) for s, t in zip(stuck, took, strict=True)]
    labelled = label_by_truth(truth(*(person(f"u{i}", e) for i, e in enumerate(people))), LATER)
    right = rng.random(size) < 0.75
    alarms = Evidence.of(until=LATER, signals=[alarm(f"u{i}", HOUR) for i in np.flatnonzero(stuck == right)])
    return labelled, alarms.signals


def test_with_shuffled_labels_the_precision_is_the_base_rate() -> None:
    labelled, alarms = _crowd(4_000)
    skilled = score(labelled, alarms)
    assert skilled.precision is not None
    assert skilled.precision > 0.55
    shuffled = [score(shuffle_labels(labelled, seed), alarms) for seed in range(5)]
    assert all(one.positives == skilled.positives for one in shuffled)
    assert np.mean([one.precision for one in shuffled]) == pytest.approx(skilled.prevalence, abs=0.02)


def test_the_precision_of_alarming_everyone_is_the_prevalence() -> None:
    labelled, _ = _crowd(500)
    lower_bounds = bounds(labelled)
    assert lower_bounds.everyone.precision == pytest.approx(labelled["positive"].mean())
    assert lower_bounds.everyone.recall == 1.0
    assert lower_bounds.best_timeout.f1 is not None
    assert lower_bounds.everyone.f1 is not None
    assert lower_bounds.best_timeout.f1 > lower_bounds.everyone.f1


def test_timeouts_are_scored_by_the_same_definition_as_the_detector() -> None:
    """A fixed timeout as a rule and the same alarms as signals have the same figures."""
    labelled, _ = _crowd(800)
    rule = bounds(labelled).best_timeout
    assert rule.kind == "fraction"
    wait = int(rule.delay * 10 * HOUR)
    alive = labelled.filter(pl.col("ended_at").is_null() | (pl.col("ended_at") > pl.col("onset") + wait))
    result = score(labelled, Evidence.of(until=LATER, signals=[alarm(user, wait) for user in alive["user_id"]]).signals)
    assert (result.alarms, result.true_positives, result.precision, result.recall) == (
        rule.alarms,
        rule.matched,
        rule.precision,
        rule.recall,
    )


def test_the_ceiling_knows_the_hidden_cause() -> None:
    people = [episode(cause="errors") for _ in range(20)] + [episode(untreated=9 * HOUR, done=9 * HOUR) for _ in range(20)]
    labelled = label_by_truth(truth(*(person(f"u{i}", e) for i, e in enumerate(people))), LATER)
    found = bounds(labelled)
    assert found.ceiling.f1 == 1.0
    assert found.best_timeout.f1 == pytest.approx(2 / 3)
    assert found.timeout_at_precision is None
    assert found.ceiling_at_precision is not None
    assert found.ceiling_at_precision.recall == 1.0


def test_nobody_is_stuck_after_activation_or_at_a_step_that_they_left() -> None:
    """Six held-out users do not complete the step within its horizon. Three of them are stuck there."""
    rows = [
        progress("activated before", "connect", 1, 2 * HOUR, None),
        progress("activated at it", "connect", 1, 0, None),
        progress("activated late", "connect", 1, 0, 11 * HOUR),
        progress("moved on", "connect", 1, 0, 20 * HOUR),
        progress("moved on", "invite", 2, 2 * HOUR, None),
        progress("moved on late", "connect", 1, 0, None),
        progress("moved on late", "invite", 2, 11 * HOUR, None),
        progress("stays", "connect", 1, 0, None),
    ]
    activated = {"activated before": HOUR, "activated at it": HOUR, "activated late": 11 * HOUR}
    alarms = [alarm(user, 4 * HOUR) for user in ("activated before", "activated at it", "moved on", "stays")]
    held_out = evidence(rows, signals=alarms, activated=activated, statistics=[statistic(10 * HOUR)])
    labelled = label_by_holdout(held_out)
    assert set(labelled.filter(pl.col("positive") & ~pl.col("censored"))["user_id"]) == {"activated late", "moved on late", "stays"}
    result = score(labelled, holdout_signals(held_out, labelled))
    assert (result.episodes, result.positives, result.alarms, result.true_positives) == (5, 3, 3, 1)
    assert recovered_alone(labelled, holdout_signals(held_out, labelled)) == 0.0, "none of them went on after the alarm"


def test_every_episode_is_judged_by_the_horizon_in_force_when_it_began() -> None:
    """The step got quicker: H was 20 hours, then 5. Without a score and an alarm the statistics say which; before the first, the first."""
    statistics = [statistic(20 * HOUR, at=-DAY), statistic(5 * HOUR, at=2 * DAY)]
    rows = [
        *(progress(f"then {took}", "connect", 1, DAY, DAY + took * HOUR) for took in (19, 20, 21)),
        *(progress(f"now {took}", "connect", 1, 3 * DAY, 3 * DAY + took * HOUR) for took in (4, 5, 6)),
        progress("scored", "connect", 1, 3 * DAY, 3 * DAY + 9 * HOUR),
        progress("alarmed", "connect", 1, 3 * DAY, 3 * DAY + 9 * HOUR),
        progress("first", "connect", 1, -2 * DAY, -2 * DAY + 19 * HOUR),
        progress("young", "connect", 1, 5 * DAY - 4 * HOUR, None),
        progress("unknown", "invite", 1, DAY, None),
    ]
    alarms = [alarm("alarmed", 3 * DAY + HOUR, evidence='{"horizon": 36000000}')]
    scores = [said("scored", 0.1, 0.5, since=3 * DAY)]
    held_out = evidence(rows, scores, alarms, statistics=statistics, until=START + 5 * DAY)
    labelled = label_by_holdout(held_out)
    judged = labelled.filter(~pl.col("censored"))
    assert set(judged.filter("positive")["user_id"]) == {"then 21", "now 6"}
    horizons = dict(judged.select("user_id", "horizon").iter_rows())
    assert [horizons[user] for user in ("scored", "alarmed", "first", "now 4")] == [H, H, 20 * HOUR, 5 * HOUR]
    assert set(labelled.filter("censored")["user_id"]) == {"young", "unknown"}


def test_the_score_by_held_out_users_and_the_frontier_have_the_same_figures() -> None:
    rows, scores = crowd(60)
    rows += [progress("quick", "connect", 1, 0, HOUR // 2), progress("activated", "connect", 1, 2 * HOUR, None)]
    alarms = [alarm(f"u{n}", HOUR if n % 3 else 6 * HOUR) for n in range(40)]
    held_out = evidence(rows, scores, [*alarms, alarm("activated", HOUR)], activated={"activated": HOUR}, statistics=[statistic(H)])
    found, labelled = frontier(held_out), label_by_holdout(held_out)
    result = score(labelled, holdout_signals(held_out, labelled))
    assert (found.episodes, found.stuck, found.alarms, found.right) == (61, 30, 40, 13)
    assert (found.episodes, found.stuck, found.alarms, found.right) == (
        result.episodes,
        result.positives,
        result.alarms,
        result.true_positives,
    )
    assert (found.precision, found.recall) == (result.precision, result.recall)


def test_without_truth_held_out_alarms_show_who_recovers_without_help() -> None:
    rows = [progress(f"u{n}", "connect", 1, 0, (n + 1) * HOUR if n < 10 else None) for n in range(12)]
    alarms = [alarm("u5", 2 * HOUR), alarm("u9", 4 * HOUR), alarm("u10", HOUR), alarm("u11", 2 * HOUR), alarm("guided", HOUR)]
    held_out = evidence(
        [*rows, progress("guided", "connect", 1, 0, None)], [], alarms, guided=("guided",), statistics=[statistic(9 * HOUR)]
    )
    labelled = label_by_holdout(held_out)
    result = score(labelled, holdout_signals(held_out, labelled))
    assert (result.episodes, result.positives, result.true_positives, result.false_positives) == (12, 3, 3, 1)
    assert recovered_alone(labelled, holdout_signals(held_out, labelled)) == 0.25


def test_a_hundred_thousand_episodes_are_scored_in_seconds() -> None:
    rng = np.random.default_rng(1)
    size = 100_000
    users = [f"u{index}" for index in range(size)]
    onset = START + rng.integers(0, DAY, size)
    labelled = pl.DataFrame(
        {
            "user_id": users,
            "step_id": "connect",
            "bot": False,
            "onset": onset,
            "ended_at": onset + rng.integers(0, DAY, size),
            "cause": "errors",
            "horizon": 10 * HOUR,
            "positive": rng.random(size) < 0.3,
            "censored": False,
        }
    )
    signals = pl.DataFrame(
        {"user_id": users, "step_id": "connect", "trigger": "stuck:errors", "detected_at": onset + HOUR, "score": 0.5, "evidence": ""}
    )
    with uses_at_most(4, "the score"):
        result = score(labelled, signals)
    assert result.episodes == result.alarms == size
