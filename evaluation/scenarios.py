"""The scenarios: their descriptions and their changes to the catalog. The population defines the changes to people's behaviour.

A scenario never gives the engine extra information: it adds an arm, makes segments finer, or makes the catalog's priors wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Final

from state.catalog.model import Catalog
from state.vocabulary import SURFACE

NEW_ARM: Final = "newcomer"
"""Id of the arm that is added half-way. Results depend on this text, because draws are keyed by it."""

PRIOR_ERROR: Final = 3
"""Factor by which the priors of ``misspecified`` are wrong, in both directions."""

_SEGMENT_TRAITS: Final = 2


def _unchanged(catalog: Catalog, _halfway: int) -> Catalog:
    return catalog


def _with_new_arm(catalog: Catalog, halfway: int) -> Catalog:
    """Add an arm with a new pair of tone and component, on the surface of the other arms."""
    taken = {(arm.tone, arm.component) for arm in catalog.arms}
    usual = [arm for arm in catalog.arms if SURFACE[arm.component] in catalog.delivers]
    tones = dict.fromkeys(arm.tone for arm in usual)
    components = [name for name, surface in SURFACE.items() if surface == SURFACE[usual[0].component]]
    free = [pair for pair in product(tones, components) if pair not in taken] or [(usual[0].tone, usual[0].component)]
    tone, component = free[0]
    arm = usual[0].model_copy(update={"id": NEW_ARM, "tone": tone, "component": component, "from_": halfway})
    return catalog.model_copy(update={"arms": [*catalog.arms, arm]})


def _with_small_segments(catalog: Catalog, _halfway: int) -> Catalog:
    traits = list(dict.fromkeys([*catalog.segment_by, "persona", "companySize", "signupSource"]))
    return catalog.model_copy(update={"segment_by": traits[:_SEGMENT_TRAITS]})


def _with_wrong_priors(catalog: Catalog, _halfway: int) -> Catalog:
    """Triple the typical time of every other step and divide that of the rest by three; divide the prior success rate by three."""
    steps = [
        step.model_copy(update={"typical": step.typical * PRIOR_ERROR if index % 2 else max(step.typical // PRIOR_ERROR, 1)})
        for index, step in enumerate(catalog.steps)
    ]
    learning = catalog.learning.model_copy(update={"prior_rate": catalog.learning.prior_rate / PRIOR_ERROR})
    inactive = catalog.triggers.inactive.model_copy(update={"after": catalog.triggers.inactive.after * PRIOR_ERROR})
    triggers = catalog.triggers.model_copy(update={"inactive": inactive})
    return catalog.model_copy(update={"steps": steps, "learning": learning, "triggers": triggers})


SCENARIOS: Final[dict[str, tuple[str, Callable[[Catalog, int], Catalog]]]] = {
    "baseline": ("guidance has a small positive effect", _unchanged),
    "no_effect": ("guidance has no effect", _unchanged),
    "drift": ("half-way, other arms become the best", _unchanged),
    "new_arm": ("half-way, a better arm appears", _with_new_arm),
    "harmful_arm": ("half-way, a harmful arm appears", _with_new_arm),
    "bots": ("some accounts are automated", _unchanged),
    "messy": ("events arrive twice, late and out of order, clocks are wrong, reports get lost", _unchanged),
    "cold": ("many small segments", _with_small_segments),
    "misspecified": ("users differ from the models' assumptions, and the catalog's priors are wrong threefold", _with_wrong_priors),
}
"""Scenario -> its description, and its change of a catalog, given the log time (ms) half-way."""


def scenario_catalog(catalog: Catalog, scenario: str, start: int, end: int) -> Catalog:
    """Return the catalog for ``scenario`` between ``start`` and ``end`` (ms). Raises ``KeyError`` for an unknown one."""
    return SCENARIOS[scenario][1](catalog, (start + end) // 2)
