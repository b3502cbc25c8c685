"""A small world with figures that are easy to count, and a healthy run into which tests plant faults."""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluation.evidence import Evidence
from evaluation.truth import Episode, Exposure, Person, SealedTruth, Untreated, World
from state.duration import DAY, HOUR

START = 1_700_000_000_000
ARMS = ["bold", "calm", "plain"]


def person(user: str, *episodes: Episode, bot: bool = False, exposures: tuple[Exposure, ...] = (), **fields: Any) -> Person:
    """Return a person who signed up at the start."""
    return Person(user_id=user, bot=bot, signup_at=fields.pop("signup_at", START), episodes=episodes, exposures=exposures, **fields)


def episode(step: str = "connect", *, onset: int = START, untreated: int | None = None, done: int | None = None, **fields: Any) -> Episode:
    """Return an episode; ``untreated`` and ``done`` are ms after its onset, None: never."""
    return Episode(
        step=step,
        since=onset,
        onset=onset,
        completed_at=None if done is None else onset + done,
        untreated_at=None if untreated is None else onset + untreated,
        **fields,
    )


def truth(*people: Person, horizons: dict[str, int] | None = None) -> SealedTruth:
    """Return the truth of a world with a horizon of ten hours."""
    return SealedTruth(people=people, world=World(horizons=horizons or {"connect": 10 * HOUR}))


def alarm(user: str, at: int, step: str = "connect", trigger: str = "stuck:inactive", **fields: Any) -> dict[str, Any]:
    """Return a signal ``at`` ms after the start."""
    return {"user_id": user, "trigger": trigger, "step_id": step, "detected_at": START + at, "score": None, "evidence": "{}", **fields}


def healthy_run(decisions: int = 1_200, seed: int = 3) -> tuple[Evidence, SealedTruth]:
    """Return a run without faults: a fifth held out, one decision per adaptive person, arms drawn from their propensities."""
    rng = np.random.default_rng(seed)
    people: list[dict[str, Any]] = []
    chosen: list[dict[str, Any]] = []
    outcomes: list[dict[str, Any]] = []
    signals: list[dict[str, Any]] = []
    delivered: list[dict[str, Any]] = []
    persons: list[Person] = []
    for index in range(decisions * 5 // 4):
        user, held, at = f"u{index}", index % 5 == 0, START + index * 60_000
        stuck = rng.random() < 0.4
        untreated = None if stuck else int(rng.integers(HOUR, 9 * HOUR))
        people.append(
            {
                "user_id": user,
                "experiment_group": "holdout" if held else "adaptive",
                "path_id": "p",
                "segment": "engineer",
                "signup_at": at,
                "activated_at": 0,
            }
        )
        noticed = at + int(4.5 * HOUR)
        done = None if untreated is None else at + untreated
        if done is None or done > noticed:
            signals.append(alarm(user, noticed - START, score=0.5, evidence='{"idleMs": 1, "thresholdMs": 1}'))
        exposures: tuple[Exposure, ...] = ()
        if not held:
            shares = rng.dirichlet([2.0, 2.0, 2.0]) * 0.85 + 0.05
            arm = ARMS[int(rng.choice(3, p=shares / shares.sum()))]
            decision, shown = f"d{index}", noticed + HOUR
            place = {"trigger": "stuck:inactive", "step_id": "connect", "segment": "engineer"}
            chosen.append(
                {
                    **place,
                    "decision_id": decision,
                    "user_id": user,
                    "experiment_group": "adaptive",
                    "path_id": "p",
                    "outcome": "decided",
                    "reason": "",
                    "arm": arm,
                    "propensity": float(shares[ARMS.index(arm)]),
                    "arms": ARMS,
                    "propensities": shares.tolist(),
                    "decided_at": noticed,
                }
            )
            delivered.append({"decision_id": decision, "user_id": user, "arm": arm, "ui_component": "modal"})
            if rng.random() < 0.7:
                won = rng.random() < {"bold": 0.6, "calm": 0.4, "plain": 0.2}[arm]
                end = ("success", shown + int(rng.integers(1, DAY))) if won else ("failure", shown + DAY)
                for kind, when in (("shown", shown), end):
                    outcomes.append({**place, "decision_id": decision, "user_id": user, "kind": kind, "arm": arm, "occurred_at": when})
                exposures = (
                    Exposure(
                        decision_id=decision,
                        recommendation_id=f"{decision}.{arm}",
                        trigger="stuck:inactive",
                        step="connect",
                        segment="engineer",
                        arm=arm,
                        shown_at=shown,
                        expected={"bold": 0.6, "calm": 0.4, "plain": 0.2},
                    ),
                )
        cause = "inactive" if stuck else None
        persons.append(person(user, episode(onset=at, untreated=untreated, done=untreated, cause=cause), exposures=exposures, signup_at=at))
    evidence = Evidence.of(
        until=START + 30 * DAY, people=people, decisions=chosen, outcomes=outcomes, signals=signals, recommendations=delivered
    )
    return evidence, truth(*persons, horizons={"connect": 10 * HOUR})


def untreated_twin(activated_at: int | None) -> Untreated:
    """Return the untreated twin."""
    return Untreated(activated_at=activated_at)
