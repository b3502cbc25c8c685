"""Texts that stand where a value is missing: what programs print for nothing, and template tags that nobody filled in.

As an id such a text is shared by many people, who would become one person. As a name it would be read by one ("Hi undefined").
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

NOTHING: Final = ("undefined", "null", "nan", "(null)", "<null>", "<nil>", "[object Object]")
"""What programs print where a value is missing. Spelled in any case, such a text is no id either."""
_NOBODY: Final = ("none", "anonymous", "unknown", "n/a", "#n/a")
_FLAGS_AND_NAMES: Final = ("true", "false", "not_authenticated", "distinct_id", "userId", "user_id", "anonymousId", "anonymous_id")
_NIL_UUIDS: Final = ("00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000")


def _spellings(texts: Iterable[str]) -> frozenset[str]:
    """Each text as written, in lower case, in capitals, and with capitals first: one look-up instead of a conversion for each event."""
    ways = (str, str.lower, str.upper, str.capitalize, str.title)
    return frozenset({"NaN", *(spell(text) for text in texts for spell in ways)})


PLACEHOLDER_IDS: Final = _spellings((*NOTHING, *_NOBODY, *_FLAGS_AND_NAMES, *_NIL_UUIDS)) | {""}
"""Ids that are nobody's, without blanks around them. ``0`` is not among them: some products count from it."""

_TAG: Final = re.compile(
    r"\{\{.*\}\}|[$#]?\{(?![0-9a-f]{8}-).*\}|<%.*%>|\[\[.*\]\]|\*\|.*\|\*|%%?[\w.\- ]+%%?|%[a-z@]", re.DOTALL | re.IGNORECASE
)
"""A GUID in braces, as .NET prints it, is no tag."""
TAG_BEGINS: Final = frozenset("{$#<[*%")
"""First characters of template tags: a look that is cheap enough for every id."""
_NOTHING_LOWER: Final = frozenset(text.lower() for text in NOTHING)
_NOBODY_LOWER: Final = frozenset(_NOBODY)


def stands_for_nothing(text: str) -> bool:
    """Whether a trait's text means that the app had no value: ``undefined``, ``[object Object]``, ``{{first_name}}``, ``%FNAME%``."""
    bare = text.strip()
    return bare.lower() in _NOTHING_LOWER or _TAG.fullmatch(bare) is not None


def names_nobody(text: str) -> bool:
    """Whether a text that people will read stands for nothing or for nobody in particular: ``None``, ``N/A``, ``unknown`` too."""
    return text.strip().lower() in _NOBODY_LOWER or stands_for_nothing(text)


def is_placeholder_id(text: str) -> bool:
    """Whether ``text`` is blank, a placeholder, or a template tag that nobody filled in, instead of an id."""
    bare = text.strip()
    return bare in PLACEHOLDER_IDS or bare.lower() in _NOTHING_LOWER or (bare[:1] in TAG_BEGINS and _TAG.fullmatch(bare) is not None)
