"""Makes text of unknown origin safe for a terminal: nothing in it can move the cursor, turn the writing direction or hide.

Also what a terminal without Unicode shows: our own marks have a plain substitute of the same width, so that tables stay aligned.
"""

from __future__ import annotations

import codecs
import unicodedata
from typing import Final, TextIO

_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_TO_ASCII: Final = str.maketrans("–—−…→←“”‘’█━╸╺─│●◆·≤≥", "---~><\"\"''#===-|o*.<>")
_POLICY: Final = "onramp_ascii"


def plain(value: object) -> str:
    """Return ``value`` as one line of visible text; what is not visible is written as its code, as in Python."""
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if unicodedata.category(character) not in _UNSAFE else _code(character) for character in text)


def _code(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def shortened(text: str, width: int) -> str:
    """Cut ``text`` to ``width`` characters, with an ellipsis where something is missing."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def never_fail_to_print(stream: TextIO) -> None:
    """Let ``stream`` print a substitute for a letter that its encoding does not have, instead of failing."""
    codecs.register_error(_POLICY, _substitute)
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors=_POLICY)


def _substitute(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end].translate(_TO_ASCII)
    return "".join(character if character.isascii() else _code(character) for character in text), error.end
