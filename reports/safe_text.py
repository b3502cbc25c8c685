"""What a terminal without Unicode shows: our own marks have a plain substitute of the same width, so that tables stay aligned."""

from __future__ import annotations

import codecs
from typing import Final, TextIO

from state.plain_text import code_of

_TO_ASCII: Final = str.maketrans("–—−…→←“”‘’█━╸╺─│●◆·≤≥", "---~><\"\"''#===-|o*.<>")
_POLICY: Final = "onramp_ascii"


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
    return "".join(character if character.isascii() else code_of(character) for character in text), error.end
