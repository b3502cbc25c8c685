"""What evidence adds is believed as far as it was right before: by a factor, and by a correction that depends on how much it adds."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import msgspec
import pytest

from state.stuck.calibration import FITTED_TRUST, belief, believed, learn, logistic
from state.stuck.score_state import KNOTS, Calibration


def taught(true_logit: Callable[[float], float], tries: int = 4_000, seed: int = 1) -> Calibration:
    """A calibration after tries of every size whose outcomes follow ``true_logit``; time alone says one half."""
    rng, made = Random(seed), Calibration()
    for _ in range(tries):
        added = rng.uniform(-2.5, 2.5)
        learn(made, 0.0, added, stuck=rng.random() < logistic(true_logit(added)))
    return made


def said(made: Calibration, added: float) -> float:
    return believed(made.trust, made.correction, added)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.8])
def test_the_factor_by_which_evidence_is_right_is_learned(factor: float) -> None:
    made = taught(lambda added: factor * added)
    for added in (-2.0, -1.0, 1.0, 2.0):
        assert said(made, added) == pytest.approx(factor * added, abs=0.3)


def test_small_contributions_that_are_noise_are_not_believed_where_large_ones_are_true() -> None:
    made = taught(lambda added: 0.0 if abs(added) < 0.7 else added)
    assert abs(said(made, 0.5)) < 0.3
    assert said(made, 2.0) > 1.6


def test_signs_that_overstate_together_are_cut_short() -> None:
    made = taught(lambda added: min(added, 0.6))
    assert said(made, 2.0) < 1.0
    assert said(made, -1.5) == pytest.approx(-1.5, abs=0.35)


def test_evidence_that_adds_nothing_changes_nothing_whatever_was_learned() -> None:
    made = taught(lambda added: 3.0)
    assert said(made, 0.0) == 0.0


def test_what_evidence_is_worth_does_not_wander_where_it_stays_the_same() -> None:
    rng, made, trusts = Random(1), taught(lambda _: 0.0, 2_000), []
    for _ in range(20_000):
        learn(made, 0.0, rng.uniform(-1.0, 1.0), stuck=rng.random() < 0.5)
        trusts.append(made.trust)
    assert max(map(abs, trusts)) < 0.3


def test_a_new_calibration_believes_half() -> None:
    for added in (-9.0, *KNOTS, 0.3, 9.0):
        assert said(Calibration(), added) == 0.5 * added


def test_what_is_believed_is_continuous_and_keeps_its_correction_beyond_the_knots() -> None:
    made = taught(lambda added: math.sin(2.0 * added))
    for knot in KNOTS:
        assert said(made, knot - 1e-9) == pytest.approx(said(made, knot + 1e-9), abs=1e-6)
    for beyond in (3.0, 50.0):
        assert said(made, beyond) - made.trust * beyond == pytest.approx(made.correction[-1])
        assert said(made, -beyond) + made.trust * beyond == pytest.approx(made.correction[0])


def test_variances_fall_with_tries_and_never_exceed_the_prior() -> None:
    prior, made = Calibration(), taught(lambda added: added, 500)
    assert 0.0 < made.variance < prior.variance
    assert all(0.0 <= now <= before for now, before in zip(made.variances, prior.variances, strict=True))
    for _ in range(20_000):
        learn(made, 0.0, 0.01, stuck=False)  # which says hardly anything of the trust and of the knot at 0.5
        learn(made, 0.0, -0.01, stuck=False)  # nor of the one at -0.5
    assert made.variance == prior.variance
    assert made.variances[2] == made.variances[4] == prior.variances[4]


@pytest.mark.parametrize("added", [-1e6, -40.0, 0.0, 40.0, 1e6])
@pytest.mark.parametrize("offset", [-6.0, 6.0])
def test_extremes_stay_finite(added: float, offset: float) -> None:
    made = Calibration()
    for stuck in (True, False) * 20:
        learn(made, offset, added, stuck=stuck)
    assert all(map(math.isfinite, (made.trust, made.variance, *made.correction, *made.variances)))
    assert 0.0 <= logistic(offset + said(made, added)) <= 1.0


def test_calibrations_share_no_lists_and_survive_a_snapshot() -> None:
    one, other = Calibration(), Calibration()
    learn(one, 0.0, 1.0, stuck=True)
    assert other == Calibration() != one
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=Calibration) == one


def test_evidence_that_was_rather_wrong_is_not_believed_at_all() -> None:
    made = taught(lambda added: -0.5 * added)
    assert made.trust < 0.0
    assert all(believed(*belief(made), added) == 0.0 for added in (-2.0, -0.5, 0.5, 2.0))


def test_what_a_log_says_is_held_longer_than_what_nobody_tried() -> None:
    fitted, new = Calibration(1.0, FITTED_TRUST), Calibration(1.0)
    for made in (fitted, new):
        for _ in range(20):
            learn(made, 0.0, 1.0, stuck=False)
    assert said(new, 1.0) < said(fitted, 1.0) < 1.0
