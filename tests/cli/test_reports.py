"""The parts that printed reports are made of: what is proven, intervals as pictures, values as JSON, terminals without Unicode."""

from __future__ import annotations

import dataclasses
import io
import re
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from evaluation.effect import EffectReport, GroupRate, Lift, TrueLift, people_needed
from evaluation.sequences import Path
from reports.effect import proof
from reports.llm import difference_in_words
from reports.render import interval
from reports.safe_text import never_fail_to_print
from reports.values import json_value, pick


def _effect(lift: float, half: float, *, claimed_after: int | None = None, true: float | None = None, people: int = 2_000) -> EffectReport:
    empty = np.zeros(0)
    found = Lift(
        treated="adaptive",
        control="holdout",
        lift=lift,
        lower=lift - half,
        upper=lift + half,
        fixed_lower=lift - half,
        fixed_upper=lift + half,
        claimed=claimed_after is not None,
        claimed_after=claimed_after,
        path=Path(seen=np.zeros(0, dtype=np.int64), estimate=empty, lower=empty, upper=empty),
        people=people,
        share=0.9,
    )
    groups = (GroupRate("holdout", 200, 80, 0.4), GroupRate("rules", 0, 0, None), GroupRate("adaptive", 1800, 800, 0.4444))
    known = None if true is None else TrueLift(true, 0.4 + true, 0.4, 1800, 0.01)
    return EffectReport(groups, (found,), 0, known, designs=({"holdout": 0.1, "rules": 0.0, "adaptive": 0.9},))


def test_too_few_users_are_said_once_with_how_many_it_takes() -> None:
    said = proof(_effect(0.01, 0.3, true=0.04))
    needed = people_needed(lift=0.04, rate=0.4, share=0.9)
    assert said.startswith("2,000 users are too few to prove that guidance helps. For an effect of the true size (+4.0 points) it takes")
    stated = int(re.findall(r"about ([\d,]+)\.", said)[0].replace(",", ""))
    assert stated == pytest.approx(needed, rel=0.05)
    assert stated != needed  # a plan is not exact to the last user


def test_without_a_truth_the_measured_size_is_the_plan_and_no_plan_is_made_for_no_effect() -> None:
    assert "an effect of the measured size (+3.0 points)" in proof(_effect(0.03, 0.3))
    assert proof(_effect(-0.03, 0.3)) == "2,000 users are too few to prove that guidance helps."


def test_only_those_who_were_compared_are_too_few_and_plan() -> None:
    """Others, who came while nobody was held out, are in the table and in no comparison."""
    assert proof(_effect(0.03, 0.3, people=300)).startswith("300 users are too few to prove that guidance helps.")


def test_with_a_third_group_the_plan_says_that_it_is_of_two() -> None:
    found = _effect(0.03, 0.3)
    holdout, _, adaptive = found.groups
    said = proof(dataclasses.replace(found, groups=(holdout, GroupRate("rules", 900, 400, 0.4444), adaptive)))
    assert said.startswith(
        "2,000 users of adaptive and holdout are too few to prove that guidance helps. For an effect of the measured size"
    )
    assert re.search(r"it takes about [\d,]+ of them\.$", said)


def test_no_plan_is_made_for_no_more_users_than_there_are() -> None:
    needed = people_needed(lift=0.3, rate=0.4, share=0.9)
    assert proof(_effect(0.3, 0.3, people=2 * needed)) == f"{2 * needed:,} users are too few to prove that guidance helps."
    assert "it takes about" in proof(_effect(0.3, 0.3, people=needed // 2))


def test_what_is_proven_is_said_and_harm_too() -> None:
    assert proof(_effect(0.2, 0.1, claimed_after=1500)) == "Proven: adaptive beats holdout after 1,500 users."
    assert proof(_effect(-0.2, 0.1)) == "Harm is proven: adaptive against holdout."


def test_the_present_interval_decides_and_an_earlier_proof_is_past() -> None:
    worse, unsure = _effect(-0.2, 0.1, claimed_after=1248), _effect(-0.01, 0.03, claimed_after=1248)
    assert proof(worse) == "Harm is proven: adaptive against holdout. At first adaptive was shown to beat holdout, after 1,248 users."
    assert proof(unsure) == "At first adaptive was shown to beat holdout, after 1,248 users. By now neither better nor worse is proven."
    better = _effect(0.2, 0.1, claimed_after=1248)
    assert [each.lifts[0].proven for each in (better, worse, unsure)] == ["better", "worse", None]
    decisions = "after 1,248 decisions"
    assert f"; proven {decisions}. " in difference_in_words(better.lifts[0])
    assert f"; harm is proven. At first the model was shown to be better, {decisions}. " in difference_in_words(worse.lifts[0])
    assert f"; not proven. At first the model was shown to be better, {decisions}. " in difference_in_words(unsure.lifts[0])


def test_with_shares_that_were_not_promised_harm_is_not_proven_either() -> None:
    lift = dataclasses.replace(_effect(-0.2, 0.1).lifts[0], promised=False)
    assert lift.proven is None
    assert "; not proven. " in difference_in_words(lift)


def test_with_unknown_shares_nothing_is_proven() -> None:
    unknown = dataclasses.replace(_effect(0.2, 0.1, claimed_after=1500), designs=())
    assert proof(unknown) == "Nothing is proven: it is not known by which shares the groups were drawn."


@pytest.mark.parametrize(
    ("low", "estimate", "high", "picture"),
    [
        (-1.0, 0.0, 1.0, "─────●─────"),
        (0.2, 0.6, 1.0, "     │──●──"),
        (-0.6, -0.4, -0.2, "  ─●─│     "),
        (-3.0, 2.0, 3.0, "─────│────●"),
    ],
)
def test_an_interval_is_drawn_around_its_estimate(low: float, estimate: float, high: float, picture: str) -> None:
    assert interval(low, estimate, high, reach=1.0, width=11).plain == picture


@dataclass(frozen=True, slots=True)
class _Found:
    p_value: float
    seen_at: datetime
    by_arm: pl.DataFrame


def test_values_become_json_with_camel_case_names_and_null_for_what_is_no_number() -> None:
    found = _Found(float("nan"), datetime(2026, 1, 5, tzinfo=UTC), pl.DataFrame({"arm_id": ["a"], "rate": [float("inf")]}))
    assert json_value(found) == {"pValue": None, "seenAt": "2026-01-05T00:00:00.000Z", "byArm": [{"armId": "a", "rate": None}]}
    assert pick(None, "p_value", "ok") == {"pValue": None, "ok": None}


def test_a_terminal_without_unicode_shows_substitutes_of_the_same_width() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    never_fail_to_print(stream)
    stream.write("a − b  ──●──│  ██  … “x” → 日\n")
    stream.flush()
    assert raw.getvalue() == b'a - b  --o--|  ##  ~ "x" > \\u65e5\n'
