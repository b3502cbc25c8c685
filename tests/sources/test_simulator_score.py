"""The score's definition, on numbers made by hand."""

from __future__ import annotations

from sources.simulator import Episode, Hidden, Signal, Truth, score
from state.duration import DAY, MINUTE
from state.vocabulary import STUCK_TRIGGERS

END = 14 * DAY


def person(name: str, *stuck: Episode) -> Truth:
    return Truth(name, "default", {}, Hidden(0.5, 0.5, True, {}), "p", 0, {}, None, list(stuck))


def test_without_signals_and_episodes_there_are_no_rates() -> None:
    result = score([], [], END)
    assert (result.overall.precision, result.overall.recall) == (None, None)
    assert set(result.by_trigger) == set(STUCK_TRIGGERS)
    assert all((rates.precision, rates.recall) == (None, None) for rates in result.by_trigger.values())


def test_precision_counts_signals_by_trigger_and_recall_counts_episodes_by_cause() -> None:
    truth = [
        person("ann", Episode("load", "stuck:errors", 1_000, 2_000), Episode("load", "stuck:inactive", DAY, 3 * DAY)),
        person("bob", Episode("share", "stuck:looping", 5_000, 9_000)),
        person("cy"),
    ]
    signals = [
        Signal("ann", "load", "stuck:errors", 1_500),  # true
        Signal("ann", "load", "stuck:rage_clicks", 1_600),  # true: any cause counts; the same episode is found once
        Signal("ann", "share", "stuck:errors", 1_500),  # another step: false
        Signal("bob", "share", "stuck:looping", 4_999),  # before the onset: false
        Signal("cy", "load", "stuck:inactive", 2 * DAY),  # not stuck: false
    ]
    result = score(truth, signals, END)
    overall = result.overall
    assert (overall.signals, overall.true_signals, overall.precision) == (5, 2, 0.4)
    assert (overall.episodes, overall.censored, overall.found, overall.recall) == (3, 0, 1, 1 / 3)
    errors = result.by_trigger["stuck:errors"]
    assert (errors.precision, errors.recall) == (0.5, 1.0)
    rage = result.by_trigger["stuck:rage_clicks"]
    assert (rage.precision, rage.recall) == (1.0, None)
    inactive = result.by_trigger["stuck:inactive"]
    assert (inactive.precision, inactive.recall) == (0.0, 0.0)
    slow = result.by_trigger["stuck:slow_step"]
    assert (slow.precision, slow.recall) == (None, None)


def test_grace_reaches_past_the_end_of_an_episode_and_no_further() -> None:
    truth = [person("ann", Episode("load", "stuck:errors", 1_000, 2_000))]
    late = 2_000 + 5 * MINUTE
    assert score(truth, [Signal("ann", "load", "stuck:errors", late)], END, grace_ms=5 * MINUTE).overall.precision == 1.0
    assert score(truth, [Signal("ann", "load", "stuck:errors", late + 1)], END, grace_ms=5 * MINUTE).overall.precision == 0.0


def test_open_episodes_near_the_end_are_censored_found_or_not_and_counted_as_such() -> None:
    truth = [
        person("ann", Episode("load", "stuck:inactive", END - DAY, None)),  # followed for a whole day: counts, missed
        person("bob", Episode("load", "stuck:inactive", END - DAY + 1, None)),  # a millisecond less: censored though found
        person("cy", Episode("load", "stuck:errors", END - 9_000, END - 8_000)),  # short and late, but over: counts, missed
    ]
    result = score(truth, [Signal("bob", "load", "stuck:inactive", END - 1)], END, follow_up_ms=DAY)
    overall = result.overall
    assert (overall.episodes, overall.censored, overall.found, overall.recall) == (3, 1, 0, 0.0)
    assert overall.precision == 1.0


def test_an_episode_that_never_ended_stays_open_to_the_end() -> None:
    truth = [person("ann", Episode("load", "stuck:inactive", DAY, None))]
    result = score(truth, [Signal("ann", "load", "stuck:inactive", 13 * DAY)], END)
    assert (result.overall.precision, result.overall.recall) == (1.0, 1.0)
