"""Fills the slots of a template. The slot's default replaces a trait that is missing or not displayable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from state.catalog.model import Catalog
from state.catalog.slot_value import is_displayable
from state.event_fields import Scalar

_SLOT: Final = re.compile(r"\{(\w+)\}")


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
