"""Draws a person: what an app knows of them, and what nobody knows."""

from __future__ import annotations

from random import Random
from typing import Any, Final, NamedTuple

from sources.simulator import habits
from sources.simulator.matching import MISSING
from sources.simulator.product import Product
from sources.simulator.rhythm import OFFSETS, around, lively_time
from sources.simulator.truth import Hidden
from state.catalog.model import Path

_FIRST_NAMES: Final = (
    *("Ada", "Amina", "Bao", "Carla", "Chidi", "Dmitri", "Elif", "Emeka", "Farah", "Grace", "Hana", "Hugo", "Ines", "Ivan"),
    *("Jonas", "Kaito", "Léa", "Lucía", "Mateo", "Mei", "Nadia", "Noah", "Olga", "Omar", "Priya", "Rosa", "Søren", "Zoë"),
)
_USUAL: Final[dict[str, tuple[str, ...]]] = {
    "persona": ("developer", "marketer", "manager", "analyst", "other"),
    "useCase": ("reporting", "automation", "collaboration", "evaluation", "other"),
    "companySize": ("1-10", "11-50", "51-200", "201-1000", "1000+"),
    "signupSource": ("organic", "referral", "ads", "partner", "event"),
    "tier": ("free", "trial", "pro"),
    "locale": ("en-US", "en-GB", "de-DE", "fr-FR", "pt-BR", "ja-JP"),
    "timezone": tuple(OFFSETS),
    "firstName": _FIRST_NAMES,
}
"""Values for traits that no path of the catalog asks for; the values that paths ask for are derived from their rules."""


class Person(NamedTuple):
    """Someone about to sign up. ``offset``: hours from UTC where they live."""

    user_id: str
    traits: dict[str, Any]
    hidden: Hidden
    path: Path | None
    signup_at: int
    offset: int
    opts_out: bool


def draw(product: Product, rng: Random, index: int, start: int, end: int) -> Person:
    """Draw person number ``index``, who signs up in the first part of ``start`` to ``end`` (Unix ms)."""
    traits = _traits(product, rng)
    path = product.path_of(traits)
    offset = OFFSETS.get(str(traits.get("timezone")), 0)
    return Person(
        user_id=f"u{index:06d}",
        traits=traits,
        hidden=Hidden(
            skill=round(rng.betavariate(*habits.SKILL), 4),
            motivation=round(rng.betavariate(*habits.MOTIVATION), 4),
            orderly=rng.random() >= habits.DISORDERLY,
            friction={
                step: round(product.places[step].friction * around(rng, 1.0, habits.OWN_FRICTION_SPREAD), 4)
                for step in (path.steps if path else ())
            },
        ),
        path=path,
        signup_at=lively_time(rng, start, start + int((end - start) * habits.SIGN_UP_PERIOD), offset),
        offset=offset,
        opts_out=rng.random() < habits.OPTS_OUT,
    )


def _traits(product: Product, rng: Random) -> dict[str, Any]:
    traits: dict[str, Any] = {}
    fitting = [sets for sets in product.trait_sets if sets]
    if fitting and rng.random() >= habits.PATHLESS:
        traits = dict(rng.choice(rng.choice(fitting)))
    for name, usual in _USUAL.items():
        if name not in traits and rng.random() >= habits.TRAIT_MISSING:
            traits[name] = rng.choice(usual)
    return {name: value for name, value in traits.items() if value is not MISSING}
