"""A catalog as the people meet it: which events complete a step, which show work on it, which traits lead onto a path.

That is all that a population is told. It knows no templates, no triggers' thresholds and no learning.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sources.simulator.matching import MISSING
from sources.simulator.product import Act, Product
from state.catalog.model import Catalog
from state.vocabulary import SURFACE, TRIGGERS

_ALTERNATIVES = 4


def describe(catalog: Catalog) -> dict[str, Any]:
    """Return the ``product`` of the protocol's first line. Raises ``ValueError`` for a step that no event can complete."""
    product = Product(catalog, 0)
    arms = [arm for arm in catalog.arms if SURFACE[arm.component] in catalog.delivers]
    return {
        "id": catalog.id,
        "segmentBy": list(catalog.segment_by),
        "attributionWindowMs": catalog.limits.attribution_window,
        "recommendationTtlMs": catalog.limits.recommendation_ttl,
        "arms": [arm.id for arm in arms],
        "newArms": {arm.id: arm.from_ for arm in arms if arm.from_},
        "triggers": [trigger for trigger in TRIGGERS if catalog.triggers.enabled(trigger)],
        "paths": [
            {
                "id": path.id,
                "steps": list(path.steps),
                "activatedBy": list(path.activated_by or path.steps),
                "traits": _traits(product, index, path.id),
            }
            for index, path in enumerate(catalog.paths)
        ],
        "steps": [
            {
                "id": step.id,
                "requires": list(step.requires),
                "typicalMs": step.typical,
                "page": msgspec.json.decode(product.places[step.id].visit[0].payload)["path"],
                "complete": [{"events": [_event(act) for act in (acts * times)[:times]]} for acts, times in product.places[step.id].finish][
                    :_ALTERNATIVES
                ],
                "activity": _activity(product, step.id),
            }
            for step in catalog.steps
        ],
    }


def _traits(product: Product, index: int, path: str) -> list[dict[str, Any]]:
    """Examples of traits that lead onto ``path``, though paths before it have the first choice."""
    found: list[dict[str, Any]] = []
    for each in product.trait_sets[index]:
        traits = {trait: value for trait, value in each.items() if value is not MISSING}
        chosen = product.path_of(traits)
        if chosen is not None and chosen.id == path and traits not in found:
            found.append(traits)
    return found


def _activity(product: Product, step: str) -> list[dict[str, Any]]:
    place = product.places[step]
    found: list[dict[str, Any]] = []
    for act in (*place.visit, *place.work, *place.errors):
        event = _event(act)
        if not act.serves and event not in found:
            found.append(event)
    return found


def _event(act: Act) -> dict[str, Any]:
    event = {"eventType": act.type, "payload": msgspec.json.decode(act.payload)}
    return event if act.name is None else {**event, "name": act.name}
