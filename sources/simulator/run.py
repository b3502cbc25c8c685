"""Simulates many people and merges what they send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from sources.simulator import transport
from sources.simulator.life import Life
from sources.simulator.person import draw
from sources.simulator.product import Product
from sources.simulator.truth import Truth
from state.catalog.model import Catalog
from state.duration import DAY

START: Final = 1_767_571_200_000
"""2026-01-05T00:00:00Z, a Monday."""


def simulate(
    catalog: Catalog,
    users: int,
    days: int,
    seed: int,
    start_ms: int = START,
    *,
    tenant: str = "default",
    messy: bool = True,
    on_truth: Callable[[Truth], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[bytes]:
    """Yield the events of ``users`` people over ``days`` days as JSON lines without line ends, in order of arrival.

    Open loop: people do not respond to guidance; a population that does is another one. The app's reports of what it showed carry no
    recommendationId, for nobody here knows whether there was a recommendation: they mean the current one, if any.

    The same arguments give the same bytes. A person depends on the seed and their number only, so that more users change nothing about
    the earlier ones. Event times lie in [``start_ms``, ``start_ms`` + ``days``); with ``messy`` a few events are doubled, reordered by up
    to minutes, or hours late, while truth stays what it was.

    All people are simulated before the first line comes out: about 450 bytes of memory an event. ``on_truth`` is called once a person, in
    order of their numbers; ``progress`` with (people done, people in all), about a hundred times. Raises ``ValueError`` for a catalog
    with a step that no event can complete, and for fewer than one user or day.
    """
    if users < 1 or days < 1:
        raise ValueError("a simulation needs at least one user and one day")
    product = Product(catalog, seed)
    end = start_ms + days * DAY
    arrivals: list[transport.Arrival] = []
    for index in range(users):
        rng = Random(f"{seed}/{index}")  # noqa: S311 (people, not secrets)
        person = draw(product, rng, index, start_ms, end)
        life = Life(product, person, rng, tenant, end)
        life.live()
        lines = transport.encode(tenant, person.user_id, f"{seed}-{index}", life.sent)
        arrivals.extend(transport.messy(index, life.sent, lines, rng) if messy else transport.clean(index, life.sent, lines))
        if on_truth is not None:
            on_truth(life.truth)
        if progress is not None and ((index + 1) % max(1, users // 100) == 0 or index + 1 == users):
            progress(index + 1, users)
    arrivals.sort()
    for arrival in arrivals:
        yield arrival[3]
