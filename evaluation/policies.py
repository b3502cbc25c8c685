"""Target policies for off-policy evaluation, and their names on a command line.

``uniform`` · ``arm:ID`` · ``table:SEGMENT=ARM,SEGMENT=ARM`` · ``greedy``. Where the named arm is not eligible, a policy chooses uniformly
among the eligible arms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import numpy as np

from evaluation.arrays import Floats, Integers
from evaluation.logged import Logged

Policy = Callable[[Logged], Floats]
"""Log -> n × k probabilities; rows sum to 1 over the eligible arms."""
Names = Mapping[str | None, str]
"""Segment -> arm, as a policy's name has them. None stands for every segment: ``arm:ID``."""

GREEDY = "greedy"
_LEAST_SHOWN: Final = 20
_STRENGTH: Final = 10.0
_MOST_NAMED: Final = 20
"""Segments that a message names at most: traits may have any number of values."""


class PolicyError(ValueError):
    """A policy cannot be parsed, or names an arm or a segment that the log does not have. The message is for the user who typed it."""


def uniform(log: Logged) -> Floats:
    """Choose every eligible arm with the same probability."""
    return np.asarray(log.eligible / np.maximum(1, log.eligible.sum(axis=1, keepdims=True)))


def fixed(arm: str) -> Policy:
    """Return the policy that always shows ``arm``."""

    def policy(log: Logged) -> Floats:
        return _named(log, np.full(len(log), _number(log, arm)))

    return policy


def table(arms: Mapping[str, str]) -> Policy:
    """Return the policy that shows each segment its arm; a segment without one gets the uniform choice.

    The value of a table that was derived from the same log is biased upwards. ``greedy`` splits the log to avoid this. The policy raises
    ``PolicyError`` where the log has no such segment or arm.
    """

    def policy(log: Logged) -> Floats:
        check_segments(arms, log.segments)
        numbers = {segment: _number(log, arm) for segment, arm in arms.items()}
        wanted = np.array([numbers.get(segment, -1) for _, _, segment in log.contexts], dtype=np.int64)
        return _named(log, wanted[log.context])

    return policy


def greedy(training: Logged) -> Policy:
    """Return the policy with the best smoothed success rate of each context in ``training``; value it on later decisions only.

    Rates are weighted by inverse propensity and shrunk towards the arm's rate over all contexts with the weight of ten
    decisions. An arm shown fewer than 20 times is never chosen.
    """
    shape = (len(training.contexts), len(training.arms))
    weight = 1.0 / np.maximum(training.chosen_propensity, 1e-12)
    cell = training.context * shape[1] + training.chosen
    count = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    weighed = np.bincount(cell, weights=weight, minlength=shape[0] * shape[1]).reshape(shape)
    won = np.bincount(cell, weights=weight * training.rewards, minlength=shape[0] * shape[1]).reshape(shape)
    overall = won.sum(axis=0) / np.maximum(weighed.sum(axis=0), 1e-12)
    rate = (count * won / np.maximum(weighed, 1e-12) + _STRENGTH * overall) / (count + _STRENGTH)
    rate[:, count.sum(axis=0) < _LEAST_SHOWN] = -np.inf

    def policy(log: Logged) -> Floats:
        if log.arms != training.arms or log.contexts != training.contexts:
            raise PolicyError("a learned policy can be valued only on the rest of the log it was learned from")
        wanted = np.where(log.eligible, rate[log.context], -np.inf)
        best = wanted.argmax(axis=1)
        return _named(log, np.where(np.isfinite(wanted.max(axis=1, initial=-np.inf)), best, -1))

    return policy


def parse(text: str) -> Policy | None:
    """Parse a policy's name; None stands for ``greedy``, which must be learned first. Raises ``PolicyError``."""
    if named := named_by(text):
        return of_names(named)
    return None if text.strip().partition(":")[0] == GREEDY else uniform


def named_by(text: str) -> Names:
    """Return what a policy's name names; nothing for ``uniform`` and ``greedy``. Raises ``PolicyError``."""
    kind, _, rest = text.strip().partition(":")
    if kind in {GREEDY, "uniform"} and not rest:
        return {}
    if kind == "arm" and rest:
        return {None: rest}
    if kind == "table" and rest:
        pairs = [(segment.strip(), arm.strip()) for segment, _, arm in (pair.partition("=") for pair in rest.split(","))]
        if all(segment and arm for segment, arm in pairs):
            if twice := [segment for segment, number in Counter(segment for segment, _ in pairs).items() if number > 1]:
                raise PolicyError(f"the table names {', '.join(twice)} more than once")
            return dict(pairs)
    raise PolicyError(f"a policy is uniform, greedy, arm:ID or table:SEGMENT=ARM,SEGMENT=ARM, not {text!r}")


def of_names(named: Names) -> Policy:
    """Return the policy of ``arm:`` or ``table:`` that names this."""
    segments = {segment: arm for segment, arm in named.items() if segment is not None}
    return table(segments) if len(segments) == len(named) else fixed(named[None])


def check_segments(named: Iterable[str], known: Iterable[str]) -> None:
    """Raise ``PolicyError`` for segments that are not ``known``, the segments of the log."""
    known = sorted(known)
    if unknown := sorted(set(named) - set(known)):
        some = ", ".join(known[:_MOST_NAMED]) + (f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else "")
        of = "segment" if len(unknown) == 1 else "segments"
        raise PolicyError(f"no decision of the log is of the {of} {', '.join(unknown)}; its segments are {some}")


def check_arm(arm: str, known: Iterable[str]) -> None:
    """Raise ``PolicyError`` for an arm that is not ``known``, the arms of the log."""
    known = sorted(known)
    if arm not in known:
        raise PolicyError(f"no decision of the log could choose the arm {arm}; its arms are {', '.join(known)}")


def _number(log: Logged, arm: str) -> int:
    check_arm(arm, log.arms)
    return log.arms.index(arm)


def _named(log: Logged, wanted: Integers) -> Floats:
    rows = np.arange(len(log))
    possible = (wanted >= 0) & log.eligible[rows, np.maximum(wanted, 0)]
    chances = np.where(possible[:, None], 0.0, uniform(log))
    chances[rows[possible], wanted[possible]] = 1.0
    return chances
