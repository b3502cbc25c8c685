"""Makes text of unknown origin safe for a terminal: nothing in it can move the cursor, turn the writing direction or hide."""

from __future__ import annotations

import unicodedata
from typing import Final

_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain(value: object) -> str:
    """Return ``value`` as one line of visible text; what is not visible is written as its code, as in Python."""
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if unicodedata.category(character) not in _UNSAFE else code_of(character) for character in text)


def code_of(character: str) -> str:
    """Return ``character`` as Python writes it in ASCII."""
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
