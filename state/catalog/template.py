"""Fills the slots of a template. The slot's default replaces a trait that is missing or not displayable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from state.catalog.model import Catalog, Scalar
from state.placeholders import names_nobody

LONGEST: Final = 40
"""Maximum characters of a slot's value: names are shorter, and sentences do not belong in a slot."""

_SLOT: Final = re.compile(r"\{(\w+)\}")
_NOT_DISPLAYABLE: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f<>{}\[\]|\\^`@/]"  # control characters, markup, addresses
    r"|[\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\u3164\ufeff\uffa0\U000e0000-\U000e007f]"
    # (invisible characters and those that change the direction of text)
    r"|[\ud800-\udfff]"
    r"|\w\.\w\w|://"  # what a client would make a link, bare domains included
)


def render(template: str, catalog: Catalog, step_title: str, traits: Mapping[str, Scalar]) -> str:
    """Fill every slot of ``template``."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name == "step":
            return step_title
        if name == "product":
            return catalog.product
        slot = catalog.slots[name]
        given = traits.get(slot.trait)
        return given.strip() if isinstance(given, str) and is_displayable(given) else slot.default

    return _SLOT.sub(value, template)


def is_displayable(text: str) -> bool:
    """Whether a value that a user may have typed can be shown in guidance."""
    return 0 < len(text.strip()) <= LONGEST and _NOT_DISPLAYABLE.search(text) is None and not names_nobody(text)
