"""What ``onramp explain`` says of the usual time: the people behind it, or the field of the catalog."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reports.stuck_evidence import evidence_in_words


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"people": 1_200}, "nine in ten of the last 1,200 who finished it needed at most 26 min"),
        (
            {"people": 0, "expectedBy": "fit", "finished": 0},
            "at most 26 min, by `usual` in the catalog, which was fitted to a log; nobody finished it so far",
        ),
        (
            {"people": 0, "expectedBy": "fit", "finished": 2, "measured": 1_000},
            "nine in ten of 1,000 who finished it in an earlier log needed at most 26 min; 2 users finished it here so far",
        ),
        (
            {"people": 0, "expectedBy": "fit", "finished": 2, "measured": 1_000, "fitted": 26 * 60_000 + 30_000},
            "nine in ten of 1,000 who finished it in an earlier log needed at most 26 min; 2 users finished it here so far",
        ),
        (
            {"people": 0, "expectedBy": "fit", "finished": 90, "measured": 1_000, "fitted": 40 * 60_000},
            "at most 26 min, by the 40 min of 1,000 in an earlier log and what 90 users needed here so far",
        ),
        ({"people": 0, "expectedBy": "usual", "finished": 1}, "at most 26 min, by `usual` in the catalog; 1 user finished it so far"),
        ({"expectedBy": "after", "finished": 31}, "by `after` of stuck:inactive in the catalog; 31 users finished it so far"),
        ({}, "at most 26 min, by the catalog"),
    ],
)
def test_the_usual_time_comes_with_its_source(known: dict[str, Any], said: str) -> None:
    evidence = {"horizon": 26 * 60_000, "elapsed": 600_000, "activeTime": 300_000, **known}
    words = evidence_in_words("stuck:slow_step", json.dumps(evidence))
    assert words.endswith(said)
    assert "10 min at the step" in words
