"""Which traits of a log a drafted catalog names: those with few values, each of many users, so that no value tells who somebody is."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from state.catalog.model import LONGEST_TRAIT_NAME, MOST_TRAITS
from state.catalog.plan import KNOWN_TRAITS
from state.catalog.wording_schema import identifies

MOST_VALUES: Final = 20
"""Values of a trait from which something can be learned of each."""
_COMMON: Final = 0.01
"""Share of the users with a trait that have a common value of it: it is not one user's own."""
_FEWEST: Final = 5
"""Users who have a common value."""
_COVERED: Final = 0.95
"""Share of the users with a trait whose values are common."""
_LONGEST: Final = 40
"""Characters; a longer value is free text."""
_ID: Final = re.compile(r"\d{6}|@|://|[0-9a-f]{8}-[0-9a-f]{4}-|\b(?=[a-z]*\d)[0-9a-f]{12,}\b|\+\d[\d ().\-]{6}", re.IGNORECASE)
"""What is found in ids, addresses and numbers of telephones."""
_WORD: Final = r"[^\W\d_][\w'’.\-]*"
_WORDS: Final = re.compile(rf"{_WORD}(?:,? {_WORD}){{1,3}}")


class DraftedTrait(NamedTuple):
    """A trait of so many users, and why the catalog does not name it; empty where it does. ``values`` is at most one too many."""

    name: str
    values: int
    users: int
    why: str


def drafted_traits(users: Iterable[Mapping[str, str]], number: int) -> list[DraftedTrait]:
    """Judge the traits of ``number`` users, each trait → value; those that every catalog keeps are left out. Those to name come first."""
    values: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for traits in users:
        for name, value in traits.items():
            values[name][value] += 1
    found = [
        DraftedTrait(name, min(len(held), MOST_VALUES + 1), held.total(), _why_not(name, held, number))
        for name, held in values.items()
        if name not in KNOWN_TRAITS
    ]
    found.sort(key=lambda each: (bool(each.why), -each.users, each.name))
    return [
        each._replace(why=f"not among the {MOST_TRAITS} of most users") if at >= MOST_TRAITS and not each.why else each
        for at, each in enumerate(found)
    ]


def looks_personal(value: str) -> bool:
    """Whether a value may be an id, an address or the name of a person. It is better to ask the author once too often."""
    if len(value) > _LONGEST or _ID.search(value):
        return True
    return _WORDS.fullmatch(value) is not None and all(word[0].isupper() for word in value.split())


def _why_not(name: str, held: Counter[str], number: int) -> str:
    if not identifies(name) and len(held) > MOST_VALUES:
        return f"more than {MOST_VALUES} values"
    if identifies(name) or any(map(looks_personal, held)):
        return "may tell who a user is"
    if len(name) > LONGEST_TRAIT_NAME or not name.isprintable() or not name.strip():
        return "its name is too long or not readable"
    users = held.total()
    common = [times for times in held.values() if times >= max(_FEWEST, _COMMON * users)]
    if sum(common) < _COVERED * users:
        return "values that few users have"
    if len(common) + (number - users >= max(_FEWEST, _COMMON * number)) < 2:  # to have none is a value too
        return "the same for nearly everybody"
    return ""
