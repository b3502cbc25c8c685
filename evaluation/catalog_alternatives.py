"""Finds events that are alternatives: names of which a user does one and no other, so that they are one step of the drafted catalog."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from evaluation.event_histories import History, Kind, Occurrence

_BOTH: Final = 0.02
"""Share of the users of a kind who may have done another one too."""
_EXPECTED: Final = 4.0
"""Users who would have done both by chance. With fewer it says nothing that nobody did."""
_NEARLY_ALL: Final = 0.95
_DECENT: Final = 0.2
_LEAST: Final = 0.05
"""Share of users that alternatives reach together, so that they are a step."""
_MOST: Final = 8


def alternatives(users: Sequence[History], kinds: Iterable[Kind]) -> list[list[Kind]]:
    """Return groups of ``kinds``, the most common first in each.

    Nobody (but two in a hundred) does two of a group, though chance would have it, and either their names differ in one word, or they are
    common and together nearly all users do one of them.
    """
    did: dict[Kind, set[int]] = {kind: set() for kind in kinds}
    for number, user in enumerate(users):
        for kind in user.kinds.keys() & did.keys():
            did[kind].add(number)
    by_common = sorted((kind for kind in did if len(did[kind]) > 1), key=lambda kind: (-len(did[kind]), kind))
    found = _by_name(by_common, did, len(users))
    taken = {kind for group in found for kind in group}
    common = [kind for kind in by_common if kind not in taken and len(did[kind]) >= _DECENT * len(users)]
    return found + _by_all(common, did, len(users))


def joined(user: History, groups: Iterable[Sequence[Kind]]) -> History:
    """Return ``user`` with each group of kinds as its first one."""
    leader = {kind: group[0] for group in groups for kind in group[1:] if kind in user.kinds}
    if not leader:
        return user
    kinds: dict[Kind, Occurrence] = {}
    for kind, what in user.kinds.items():
        known = kinds.get(leader.get(kind, kind), what)
        first = min(known, what, key=lambda each: each.at)
        kinds[leader.get(kind, kind)] = Occurrence(first.at, first.active, what.count + (known.count if known is not what else 0))
    latest = tuple(dict.fromkeys(leader.get(kind, kind) for kind in user.latest))
    return msgspec.structs.replace(user, kinds=kinds, latest=latest)


def common_name(group: Sequence[Kind]) -> str:
    """Return a name for the step: the words that all have, else the first name."""
    words = [_words(kind) for kind in group]
    shared = [word for at, word in enumerate(words[0]) if all(other[at : at + 1] == (word,) for other in words)]
    return " ".join(shared) or group[0].subject


def _words(kind: Kind) -> tuple[str, ...]:
    return tuple(re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", kind.subject)))


def _exclude(one: set[int], other: set[int], users: int) -> bool:
    fewer = min(len(one), len(other))
    return len(one) * len(other) >= _EXPECTED * users and len(one & other) <= _BOTH * fewer


def _by_name(by_common: Iterable[Kind], did: Mapping[Kind, set[int]], users: int) -> list[list[Kind]]:
    alike: defaultdict[tuple[str, tuple[str, ...]], list[Kind]] = defaultdict(list)
    for kind in by_common:
        words = _words(kind)
        if len(words) > 1:
            for at in range(len(words)):
                alike[kind.type, (*words[:at], "", *words[at + 1 :])].append(kind)
    found, taken = list[list[Kind]](), set[Kind]()
    for bucket in sorted(alike.values(), key=lambda each: (-len(did[each[0]]), each)):
        group, anyone = list[Kind](), set[int]()
        for kind in bucket:
            if kind not in taken and len(group) < _MOST and (not group or _exclude(anyone, did[kind], users)):
                group.append(kind)
                anyone |= did[kind]
        if len(group) > 1 and len(anyone) >= _LEAST * users:
            found.append(group)
            taken.update(group)
    return found


def _by_all(common: Sequence[Kind], did: Mapping[Kind, set[int]], users: int) -> list[list[Kind]]:
    """Where one kind excludes several that do not exclude each other, these are other paths, not alternatives of a step."""
    apart = {
        kind: [each for each in common if each == kind or (each.type == kind.type and _exclude(did[kind], did[each], users))]
        for kind in common
    }
    found = []
    for kind, group in apart.items():
        whole = group[0] == kind and all(apart[each] == group for each in group)
        if whole and len(group) > 1 and len(set[int]().union(*(did[each] for each in group))) >= _NEARLY_ALL * users:
            found.append(group)
    return found
