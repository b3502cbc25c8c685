"""Which faults a round meets, and when: drawn from a seed, so that a round can be repeated. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

TARGETS: Final[dict[str, tuple[str, ...]]] = {
    "kill": ("job", "writer", "redis", "clickhouse"),
    "stall": ("job", "writer", "redis", "clickhouse"),
    "full disk": ("job",),
    "clock": ("job",),
    "down": ("redis", "clickhouse"),
    "delay": ("redis", "clickhouse"),
    "cut": ("redis", "clickhouse"),
    "corrupt": ("redis", "clickhouse"),
}
"""Kind of fault → what it can hit. The last four are faults of the network between the job and a store."""
KILLS: Final = ("kill",)
ALL: Final = tuple(TARGETS)

LONGEST: Final = 1.5
"""Seconds of the longest fault: the job retries for minutes, and a round shall be short."""
CLOCK_BACK: Final = 86_400
"""Seconds by which a clock jumps back at most."""


@dataclass(frozen=True)
class Fault:
    """One fault. ``at`` is the share of the input that the job, or the writer, has done by then. ``wait`` is a moment more."""

    kind: str
    target: str
    at: float
    wait: float
    seconds: float
    times: int
    """How many replies are cut or corrupted."""

    def __str__(self) -> str:
        """As a line of a report."""
        return f"{self.at:4.0%} {self.kind} {self.target}"


def schedule(seed: int, rounds: int, kinds: tuple[str, ...] = ALL) -> list[Fault]:
    """Return ``rounds`` faults in their order. Every kind of ``kinds`` comes before one comes twice; half of all kills hit the job."""
    rng = Random(f"chaos/{seed}")
    places = sorted(rng.uniform(0.02, 0.98) for _ in range(rounds))
    faults: list[Fault] = []
    drawn: list[str] = []
    for at in places:
        drawn = drawn or rng.sample(kinds, len(kinds))
        kind = drawn.pop()
        targets = TARGETS[kind]
        target = "job" if "job" in targets and rng.random() < 0.5 else rng.choice(targets)
        wait = rng.choice([0.0, rng.uniform(0, 0.02), rng.uniform(0, 0.3)])  # hits reading, snapshots and delivery alike
        faults.append(Fault(kind, target, at, wait, rng.uniform(0.1, LONGEST), rng.randint(1, 3)))
    return faults
