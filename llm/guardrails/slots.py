"""Fills the ``{slot}`` placeholders of a text, and computes its length with filled slots."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from llm.guardrails import redaction
from llm.guardrails.hygiene import unclean
from state.catalog.model import Catalog
from state.catalog.slot_value import LONGEST, is_displayable
from state.event_fields import Scalar

TOKEN: Final = re.compile(r"\{(\w{1,64})\}")
_STRAY: Final = re.compile(r"[{}｛｝﹛﹜]")
_GLUED: Final = re.compile(r"(?!_)\w\{|\}(?!['’]s\b)(?:\w|['’]\w|-\w|\{)")
_CLOSES: Final = frozenset(".,;:!?…")
_PART: Final = re.compile(r"[^\W\d_]+")
_JOINTS: Final = re.compile(r"[\W_]+")
_PARTICLES: Final = frozenset("al bin d da de del den der di do dos du el l la le o s van von y zu".split())
"""Words and letters inside names: *Maria da Costa*, *O'Brien*, *Sue's*."""

_IN_NO_NAME: Final = frozenset("it me my now off the this us you your yourself".split())


def unknown(text: str, catalog: Catalog) -> bool:
    """Whether ``text`` has a slot that the catalog does not know, a slot inside a word, or a stray brace."""
    names = {"step", "product", *catalog.slots}
    if any(name not in names for name in TOKEN.findall(text)):
        return True
    return _STRAY.search(TOKEN.sub("", text)) is not None or _GLUED.search(text) is not None


def longest(text: str, catalog: Catalog, title: str) -> int:
    """Characters of ``text`` with every slot at its longest."""
    return len(_filled(text, lambda name: _fixed(name, catalog, title) or "x" * LONGEST))


def shortest(text: str, catalog: Catalog, title: str) -> int:
    """Characters of ``text`` with every slot at its shortest."""
    return len(_filled(text, lambda name: _fixed(name, catalog, title) or "x"))


def fill(text: str, catalog: Catalog, title: str, traits: Mapping[str, Scalar], refuse: Callable[[str], bool]) -> str:
    """Return ``text`` with every slot filled. The default replaces a value that is unfit to show or makes a claim.

    ``refuse`` says whether words make one. It is asked about the whole value; a name may have one word that sounds like a claim.
    """

    def value(name: str) -> str:
        fixed = _fixed(name, catalog, title)
        if fixed is not None:
            return fixed
        slot = catalog.slots.get(name)
        if slot is None:
            return ""
        given = traits.get(slot.trait)
        if not isinstance(given, str) or not showable(given.strip()) or _claims(given, refuse):
            return slot.default
        return given.strip()

    return _filled(text, value)


def showable(value: str) -> bool:
    """Whether a value that a user typed may stand in a text of a model: where a template may show it, and no rule for texts is against it.

    So not with an emoji, ``%``, look-alike letters, or what redaction finds.
    """
    return is_displayable(value) and "%" not in value and not unclean(value) and not redaction.find(value)


def _claims(value: str, refuse: Callable[[str], bool]) -> bool:
    """Whether ``refuse`` refuses ``value`` for more than one word of a name: *Sue*, *Costa* and *Gunnar* sound like claims.

    A name is one word, or it has up to two words of up to two parts, each with a capital: *Jean-Luc Costa*. Particles do not count. A
    longer chain of parts is the sentence that it says.
    """
    if not (refuse(value) or refuse(_JOINTS.sub(" ", value))):
        return False
    words = [[part for part in _PART.findall(word) if part.casefold() not in _PARTICLES] for word in value.split()]
    parts = [part for word in words for part in word]
    if len(parts) == 1:
        return False
    if len([word for word in words if word]) > 2 or any(len(word) > 2 for word in words):
        return True
    return any(part[0].islower() or part.casefold() in _IN_NO_NAME for part in parts) or sum(map(refuse, parts)) != 1


def _fixed(name: str, catalog: Catalog, title: str) -> str | None:
    return {"step": title, "product": catalog.product}.get(name)


def _filled(text: str, value: Callable[[str], str]) -> str:
    def filled(match: re.Match[str]) -> str:
        given = value(match[1])
        return given.removesuffix(".") if match.string[match.end() : match.end() + 1] in _CLOSES else given  # "Acme Inc.."

    return TOKEN.sub(filled, text)
