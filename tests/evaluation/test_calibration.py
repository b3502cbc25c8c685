"""Scores compared with outcomes."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.calibration import calibrate, calibrate_signals
from evaluation.evidence import Evidence
from evaluation.stuck import label_by_truth
from state.duration import DAY, HOUR
from tests.evaluation.cases import START, alarm, episode, person, truth


def test_calibration_by_hand() -> None:
    found = calibrate([0.2, 0.2, 0.9, 0.9], [False, True, True, True], bins=2)
    assert found is not None
    assert found.table.rows() == [(pytest.approx(0.2), 0.5, 2), (pytest.approx(0.9), 1.0, 2)]
    assert found.error == pytest.approx((0.3 + 0.1) / 2)
    assert found.brier == pytest.approx((0.04 + 0.64 + 0.01 + 0.01) / 4)
    assert found.brier_of_base_rate == pytest.approx(0.75 * 0.25)


def test_calibrated_scores_have_a_small_error_and_overconfident_ones_a_large_one() -> None:
    rng = np.random.default_rng(1)
    calibrated = rng.random(20_000)
    happened = rng.random(20_000) < calibrated
    found, overconfident = calibrate(calibrated, happened), calibrate(np.sqrt(calibrated), happened)
    assert found is not None
    assert overconfident is not None
    assert found.error < 0.02
    assert overconfident.error > 0.1
    assert found.brier < found.brier_of_base_rate
    assert found.table["alarms"].min() == pytest.approx(2_000, abs=5)


def test_a_score_outside_0_to_1_is_rejected() -> None:
    assert calibrate([], []) is None
    with pytest.raises(ValueError, match=r"from 0\.1 to 1\.2"):
        calibrate([0.1, 1.2], [True, False])


def test_alarms_are_compared_with_the_untreated_outcome() -> None:
    sealed = truth(person("a", episode()), person("b", episode(untreated=HOUR, done=HOUR)), person("c", episode(), bot=True))
    signals = [alarm("a", HOUR, score=0.8), alarm("b", 1, score=0.3), alarm("c", 1, score=0.3), alarm("x", 1, score=0.1)]
    evidence = Evidence.of(until=START + DAY, signals=signals)
    found = calibrate_signals(label_by_truth(sealed, evidence.until), evidence.signals)
    assert found is not None
    assert found.alarms == 3
    assert found.base_rate == pytest.approx(1 / 3)
    unscored = Evidence.of(until=START + DAY, signals=[alarm("a", HOUR)])
    assert calibrate_signals(label_by_truth(sealed, START + DAY), unscored.signals) is None
