"""Judges whether the job is ready: it has caught up, and its stores answer. Pure."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from flows.metrics.probes import Measured
from flows.metrics.sampling import OLD_SECONDS, Sample
from state.quantity import count

_HUNG: Final = 120.0
"""Seconds, beside two epochs, without the end of an epoch after which a process waits for what will not come."""


class Readiness(NamedTuple):
    """``reasons`` are the sentences that say why the job is not ready; none means ready."""

    reasons: list[str]

    @property
    def ready(self) -> bool:
        """Whether there is no reason against it."""
        return not self.reasons


def judge(backlog: Sample[Measured] | None, redis: Sample[bool], clickhouse: Sample[dict[str, float]], *, most_seconds: float) -> Readiness:
    """Judge the last measurements. ``backlog`` is None for an input with an end. A lag of up to ``most_seconds`` counts as caught up."""
    reasons = []
    if backlog is not None:
        reasons += backlog_reasons(backlog, most_seconds, "ONRAMP_LAG_RED_SECONDS")
    reasons += _answers("Redis", redis) + _answers("ClickHouse", clickhouse)
    return Readiness(reasons)


def hung(idle_seconds: float | None, epoch_seconds: float, *stores: Sample[Any]) -> str:
    """Return why a process of a job of several must be started again; empty if there is no reason.

    After the machine of another process has vanished, no message says so, and this one would wait for ever: no epoch ends, although the
    stores answer. While one does not answer, the job waits for it, in every process.
    """
    if idle_seconds is None or idle_seconds <= _HUNG + 2 * epoch_seconds or any(store.error for store in stores):
        return ""
    return f"No epoch has ended for {idle_seconds:.0f} seconds: another process of the job has probably vanished."


def backlog_reasons(sample: Sample[Measured], most_seconds: float, setting: str) -> list[str]:
    """Say why an input does not count as caught up: where it is behind by more than ``most_seconds``, which ``setting`` sets."""
    if reasons := _answers("The input", sample):
        return reasons
    assert sample.value is not None, "a measurement without an error has a value"
    backlogs, at = sample.value
    if not backlogs:
        return ["No partition was read yet."]
    worst = max(backlogs, key=lambda each: each.seconds(at))
    if worst.seconds(at) <= most_seconds:
        return []
    behind = f"{worst.seconds(at):.0f} s and {count(worst.messages, 'message')} behind"
    return [f"Partition {worst.partition} is {behind}, more than the {most_seconds:g} seconds of {setting}."]


def _answers(name: str, sample: Sample[Any]) -> list[str]:
    if sample.error:
        return [f"{name} cannot be used: {sample.error.rstrip('.')}."]
    if sample.value is None:
        return [f"{name} was not asked yet."]
    if sample.age > OLD_SECONDS:
        return [f"{name} has not answered for {sample.age:.0f} seconds."]
    return []
