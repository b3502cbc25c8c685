"""Generates the events that benchmarks read: seeded people of the catalog ``saas``, some of whom are anonymous visitors first.

The module imports nothing of the project, so that the input stays the same while the measured code changes. Rates and event mix are about
those of ``onramp simulate`` at commit 3f9f2d7. The share ``visitors`` of the people begin as anonymous visitors: they view pages and try a
step under an ``anonymousId``. Three of four sign up later, with an ``identity_merged`` event; a tenth of their devices then send one more
event under the old id. 1 % of the events arrive twice, 2 % minutes late and 0.2 % hours late.

Example: ``for line in lines(users=50, days=3, seed=1): print(line.decode())``
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.saas_people import DAY, HOUR, MINUTE, SECOND, START, Person

_FEWER: Final = 40
"""Events per person. People send more than this on average in two weeks, so the generated events suffice for the requested number."""


def lines(*, users: int, days: int, seed: int, visitors: float = 0.2) -> Iterator[bytes]:
    """Yield the JSON events of ``users`` people over ``days`` days, without line ends, in the order in which they arrive.

    The same arguments give the same bytes.
    """
    end = START + days * DAY
    arrivals: list[tuple[int, int, int, str]] = []
    for index in range(users):
        rng = Random(f"{seed}/{index}")
        person = Person(rng, index=index, end=end, visitors=visitors)
        person.simulate()
        arrivals += _arrivals(person, rng, index=index, prefix=f"{seed}-{index}")
    arrivals.sort()
    for *_, line in arrivals:
        yield line.encode()


def write_input(path: Path, *, events: int, seed: int, visitors: float = 0.2) -> int:
    """Write the first ``events`` lines of two weeks to ``path``; return the number of people."""
    users = max(10, events // _FEWER)
    with path.open("wb") as file:
        written = sum(file.write(line + b"\n") > 0 for line in islice(lines(users=users, days=14, seed=seed, visitors=visitors), events))
    if written < events:
        raise SystemExit(f"the people send only {written} events")
    return users


def _arrivals(person: Person, rng: Random, *, index: int, prefix: str) -> Iterator[tuple[int, int, int, str]]:
    """Yield (arrival time, two numbers that break ties, line) for each event of a person."""
    for number, (at, who, session, what) in enumerate(person.sent):
        moment = f"{datetime.fromtimestamp(at // SECOND, UTC):%Y-%m-%dT%H:%M:%S}.{at % SECOND:03}Z"
        line = (
            f'{{"eventId":"{prefix}-{number}","tenantId":"default",{who},"sessionId":"{prefix}-s{session}",'
            f'{what},"timestamp":"{moment}","schemaVersion":1}}'
        )
        draw = rng.random()
        late = rng.randint(HOUR, 10 * HOUR) if draw < 0.002 else rng.randint(2 * SECOND, 5 * MINUTE) if draw < 0.022 else 0
        yield at + late, index, number, line
        if rng.random() < 0.01:
            yield at + late + rng.randint(1, MINUTE), index, number, line
