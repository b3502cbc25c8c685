"""Draws a person: traits that an app knows, and hidden ones."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from population import behaviour, draws
from population.product import Path, Product
from population.rhythm import OFFSETS, draw_active_time
from population.scenarios import Scenario

_USUAL: Final[dict[str, tuple[str, ...]]] = {
    "useCase": ("reporting", "automation", "collaboration", "evaluation", "other"),
    "companySize": ("1-10", "11-50", "51-200", "201-1000", "1000+"),
    "signupSource": ("organic", "referral", "ads", "partner", "event"),
    "tier": ("free", "trial", "pro"),
    "locale": ("en-US", "en-GB", "de-DE", "fr-FR", "pt-BR", "ja-JP"),
    "firstName": (
        "Ada",
        "Amina",
        "Bao",
        "Carla",
        "Chidi",
        "Elif",
        "Farah",
        "Hugo",
        "Ines",
        "Jonas",
        "Kaito",
        "Mei",
        "Omar",
        "Priya",
        "Zoë",
    ),
}
"""Values for traits that a person's path leaves open."""
_FREE: Final = ("alpha", "beta", "gamma", "delta")
_MANY: Final = 40
"""Number of values of a segment's trait in a world with many small segments."""


class Person:
    """A person before sign-up. ``key`` keys all draws; ``offset``: hours from UTC; ``susceptibility``: in logits."""

    __slots__ = (
        "hidden",
        "key",
        "motivation",
        "offset",
        "opts_out",
        "pace",
        "path",
        "segment",
        "signup_at",
        "skill",
        "susceptibility",
        "traits",
        "user_id",
    )

    def __init__(self, product: Product, scenario: Scenario, seed: int, number: int, start: int, end: int) -> None:
        self.user_id = f"p{number:06d}"
        self.key = draws.key(seed, draws.WHO, number)
        rng = draws.stream(self.key)
        self.skill = rng.betavariate(*behaviour.SKILL)
        self.motivation = rng.betavariate(*behaviour.MOTIVATION)
        self.pace = rng.lognormvariate(0.0, 0.25)
        self.susceptibility = rng.gauss(0.0, 1.0)
        self.hidden = rng.random()
        self.opts_out = rng.random() < behaviour.OPTS_OUT
        zone = rng.choice(list(OFFSETS))
        self.offset = OFFSETS[zone]
        self.path, self.traits = _traits(product, scenario, rng)
        self.traits.setdefault("timezone", zone)
        self.segment = segment_of(product, self.traits)
        self.signup_at = draw_active_time(rng, start, start + int((end - start) * behaviour.SIGN_UP_PERIOD), self.offset)


def segment_of(product: Product, traits: dict[str, Any]) -> str:
    """Return the segment that the protocol defines: the values of the traits it names, ``-`` for a missing one."""
    return "|".join(str(traits.get(name, "-")) for name in product.segment_by) or "*"


def _traits(product: Product, scenario: Scenario, rng: Random) -> tuple[Path | None, dict[str, Any]]:
    matches_all = any(not path.traits or {} in path.traits for path in product.paths)
    path: Path | None = None
    traits: dict[str, Any] = {}
    if matches_all or rng.random() >= behaviour.PATHLESS:
        path = rng.choice(product.paths)
        traits = dict(rng.choice(path.traits)) if path.traits else {}
    for name in dict.fromkeys([*product.segment_by, *_USUAL]):
        missing = rng.random() < behaviour.TRAIT_MISSING
        path_values = {str(example[name]) for path_ in product.paths for example in path_.traits if name in example}
        if name in traits or (path is None and path_values):
            continue
        if scenario.many_values and name in product.segment_by:
            value = f"{name}-{_zipf(rng)}"
        else:  # not a value of an example, which could match another path
            value = rng.choice([one for one in _USUAL.get(name, _FREE) if one not in path_values] or ["other"])
        if not missing:
            traits[name] = value
    return path, traits


def _zipf(rng: Random) -> int:
    """Draw a rank from 1 to ``_MANY``, about in inverse proportion to the rank."""
    return int((_MANY + 1) ** rng.random())
