"""Makes ids of the names of events: readable where a name has Latin letters, and the same in every draft in which the name occurs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from evaluation.event_histories import Kind

_LONGEST: Final = 50
_NO_TEXT: Final = frozenset({"true", "false", "null"})
_SPELT: Final = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
)
"""Letters that are written out, or are no Latin letter with a mark."""
_DIGITS: Final = 4
"""Of a digest; more where two would be the same."""


def drafted_ids(named: Mapping[Kind, str]) -> dict[Kind, str]:
    """Return an id for each kind of event, from its name: unique, as a catalog wants them.

    They do not depend on the order of ``named``. Where letters that are not Latin are lost, or nothing is left, a digest of the name is
    added. Of several names that give one id, the first kind by type and subject has it, and the others have it with a digest.
    """
    ids: dict[Kind, str] = {}
    for kind in sorted(named):
        base, length = _base(named[kind] or kind.type), _DIGITS
        found = base
        while found in ids.values():
            found = f"{base}_{_digest(f'{kind.type} {kind.subject}')[:length]}"
            length += 1
        ids[kind] = found
    return {kind: ids[kind] for kind in named}


def _base(name: str) -> str:
    """The Latin letters and digits of ``name``, with a digest of it where others are lost."""
    name = unicodedata.normalize("NFC", name)
    words = "".join(f" {each}" if each.isupper() and _ends_word(name[:at]) else each for at, each in enumerate(name))
    spelt = unicodedata.normalize("NFKD", words.lower().translate(_SPELT)).lower()
    kept = "".join(each for each in spelt if not unicodedata.combining(each))
    base = re.sub(r"[^a-z0-9]+", "_", kept).strip("_")[:_LONGEST].strip("_")
    if not base[:1].isalpha() or base in _NO_TEXT:
        base = f"step_{base}".strip("_")
    lost = base == "step" != kept or any(each.isalpha() and not each.isascii() for each in kept)
    return f"{base}_{_digest(name)[:_DIGITS]}" if lost else base


def _ends_word(before: str) -> bool:
    """Whether a capital after this begins a word, as in `invoiceSent`."""
    return before[-1:].isalnum() and not before[-1:].isupper()


def _digest(text: str) -> str:
    return blake2b(text.encode(errors="surrogatepass")).hexdigest()
