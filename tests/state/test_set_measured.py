"""What was measured is set in the text of a catalog, and nothing else in it moves."""

from __future__ import annotations

import pytest

from state.catalog.evidence_weights import read, render
from state.catalog.parse import parse
from state.catalog.set_measured import LayoutError, set_measured, with_measured
from state.duration import HOUR, LONGEST, SECOND, render_rounded
from state.duration import parse as parse_duration

TEXT = """\
# a catalog of mine
id: mine
version: 1.10
product:   "Mine"   # with odd blanks
observe: true
steps:
  # the first
  - id: one
    title: 'one'
    typical: 5m   # measured in May
    complete: [{type: track, name: one}]
  - complete:
      - {type: track, name: two}
    id: two
    title: two
  - {id: three, title: "a: b", usual: 2h, complete: [{type: track,   name: three}], typical: 1m}
paths:
  - {id: all, title: all, steps: [one, two, three]}
"""


def test_only_what_is_set_changes() -> None:
    after = set_measured(TEXT, {"one": {"typical": "4m", "usual": "26m"}, "two": {"usual": "3h"}, "three": {"usual": "9d"}})
    expected = TEXT
    for before, now in (
        ("    typical: 5m   # measured in May\n", "    typical: 4m   # measured in May\n    usual: 26m\n"),
        ("  - complete:\n", "  - usual: 3h\n    complete:\n"),
        ("usual: 2h", "usual: 9d"),
    ):
        assert before in expected
        expected = expected.replace(before, now)
    assert after == expected


def test_ends_of_lines_stay() -> None:
    after = set_measured(TEXT.replace("\n", "\r\n"), {"one": {"usual": "26m"}})
    assert after == set_measured(TEXT, {"one": {"usual": "26m"}}).replace("\n", "\r\n")


def test_shares_and_thresholds_are_set_and_set_again() -> None:
    shares, thresholds = {"one": {"usual": "1h", "waiting": "[0.3, 0.8, 0.8, 0.9, 0.9, 1]"}}, {"alarm_at": "{early: 0.9, last: 0.71}"}
    after = set_measured(TEXT, shares, thresholds)
    assert "observe: true\ntriggers:\n  alarm_at: {early: 0.9, last: 0.71}\n\nsteps:\n" in after
    assert "    typical: 5m   # measured in May\n    usual: 1h\n    waiting: [0.3, 0.8, 0.8, 0.9, 0.9, 1]\n    complete:" in after
    again = set_measured(after, {"one": {"waiting": "[0, 0, 0, 0, 0, 0.5]"}}, {"alarm_at": "{early: 0.8, last: 0.6}"})
    assert again == after.replace("[0.3, 0.8, 0.8, 0.9, 0.9, 1]", "[0, 0, 0, 0, 0, 0.5]").replace("0.9, last: 0.71", "0.8, last: 0.6")
    read = parse(again, "")
    assert read.steps[0].waiting == [0.0, 0.0, 0.0, 0.0, 0.0, 0.5]
    assert (read.triggers.alarm_at.early, read.triggers.alarm_at.last) == (0.8, 0.6)  # type: ignore[union-attr]
    assert with_measured(parse(TEXT, ""), shares, thresholds) == parse(after, "")


def test_evidence_is_set_and_set_again() -> None:
    first, second = (f'{{trust: [0.5, 1, 1, 1, 1, 1], weights: "{weights}"}}' for weights in (render({7: (0.5, 0.01)}), render({})))
    after = set_measured(TEXT, {}, {"evidence": first})
    assert read(parse(after, "").triggers.evidence.weights)[7] == pytest.approx((0.5, 0.01), rel=1e-3)  # type: ignore[union-attr]
    assert set_measured(after, {}, {"evidence": second}) == after.replace(first, second)
    assert with_measured(parse(TEXT, ""), {}, {"evidence": second}).triggers.evidence.weights == ""  # type: ignore[union-attr]


@pytest.mark.parametrize("triggers", ["triggers: {precision: 0.8}", "triggers:\n  precision: 0.8   # asked\n  precision_floor: 0.5"])
def test_thresholds_join_the_triggers_that_are_there(triggers: str) -> None:
    text = TEXT.replace("observe: true", f"observe: true\n{triggers}")
    after = set_measured(text, {}, {"alarm_at": "{early: 0.9, last: 0.71}"})
    assert parse(after, "").triggers.precision == 0.8
    assert len(after) - len(text) == len("alarm_at: {early: 0.9, last: 0.71}") + (2 if "{" in triggers else 3)


def test_nothing_to_set_leaves_the_text() -> None:
    assert set_measured(TEXT, {}) == TEXT


def test_a_layout_that_shares_values_is_refused_or_set_right() -> None:
    shared = TEXT.replace("typical: 5m ", "typical: &t 5m ").replace("typical: 1m", "typical: *t")
    with pytest.raises(LayoutError, match="by hand"):
        set_measured(shared, {"one": {"typical": "4m"}})
    assert parse(set_measured(shared, {"three": {"usual": "4m"}}), "").steps[2].usual == 240 * SECOND


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        *((0, "1s"), (1_440, "1.4s"), (36_400, "36s"), (89_999, "90s"), (90_000, "1.5m"), (430_000, "7.2m")),
        *((26 * HOUR, "26h"), (49 * HOUR, "2d"), (349 * HOUR, "15d"), (9_999 * LONGEST, "3650d")),
    ],
)
def test_a_measured_duration_has_two_digits(milliseconds: int, text: str) -> None:
    assert render_rounded(milliseconds) == text
    assert parse_duration(text) <= LONGEST
