"""Reads the value of a cell: as an id, as text to compare, as a value of a payload.

What cannot be read raises ``ValueError`` with words for the owner of the file, which follow the name of the column.
"""

from __future__ import annotations

import json
import math
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

_SHOWN: Final = 60
_MOST_LEVELS: Final = 40
"""Above the contract's limit, so that its own sentence is the one that is read."""
_EXACT: Final = 2**53
_NUMBERS: Final = {
    decimal: re.compile(rf"([-+]?(?:\d{{1,3}}(?:[{other}\s'’]\d{{3}})+|\d*))({re.escape(decimal)}\d*)?([eE][-+]?\d+)?")
    for decimal, other in ((".", ","), (",", "."))
}
"""Decimal sign → numbers with it: what stands before the sign, the sign with what follows, and the exponent."""
_UNCLEAR: Final = re.compile(r"[-+]?\d[\d.\s'’]*(?:,|\.\d+\.|[\s'’]\d)[\d.,\s'’]*")
"""Text that may be a number with other signs than a decimal point."""
_TRUTHS: Final = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "on"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "off"), False),
}


def shown(value: object) -> str:
    """Return ``value`` for a message, at most some words of it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def is_nothing(value: object) -> bool:
    """Whether the cell holds no value: null, or not a number (as pandas writes null)."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or (isinstance(value, Decimal) and value.is_nan())


def as_text(value: object) -> str | None:
    """Return the value as text without blanks around it, whole numbers without a point; None for nothing and for blanks alone."""
    if isinstance(value, str):
        return value.strip() or None
    if is_nothing(value):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value) and -_EXACT < value < _EXACT:
        return str(int(value))
    if isinstance(value, bytes):
        return _decoded(value).strip() or None
    if isinstance(value, int | float | Decimal | UUID):
        return str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    raise ValueError(f"is {_kind(value)}, not a single value")


def as_id(value: object) -> str | None:
    """Return the value as an id; None for nothing. Numbers with a fraction, large floats and truth values are no ids."""
    if isinstance(value, str):
        return value.strip() or None
    if is_nothing(value):
        return None
    if isinstance(value, bool) or (isinstance(value, float | Decimal) and (not math.isfinite(value) or value != int(value))):
        raise ValueError(f"is {shown(value)}, which is no id")
    if isinstance(value, float) and abs(value) >= _EXACT:
        raise ValueError(f"is {shown(value)}, a number whose last digits were lost; export it as text")
    return as_text(value)


def typed(value: object, wanted: str | None, decimal: str | None = None) -> Any:
    """Return the value as JSON has it, of the type that the mapping asks for; None for nothing.

    ``decimal``: the decimal sign of numbers that are text. None: a point, and no sign groups digits.
    """
    if wanted is None:
        return plain(value)
    if is_nothing(value) or (wanted != "text" and isinstance(value, str) and not value.strip()):
        return None
    if wanted == "text":
        return value if isinstance(value, str) else as_text(value)
    if wanted == "json":
        return plain(_parsed(value)) if isinstance(value, str | bytes) else plain(value)
    if wanted == "boolean":
        found = value if isinstance(value, bool) else _TRUTHS.get((as_text(value) or "").lower())
        if found is None:
            raise ValueError(f"is {shown(value)}, neither true nor false")
        return found
    return _number(value, decimal, whole=wanted == "integer")


def digestible(value: object) -> Any:
    """Return the value for a digest: like ``plain``, and as Python shows it where that is no JSON."""
    try:
        return plain(value)
    except ValueError:
        return repr(value)


def plain(value: object, levels: int = _MOST_LEVELS) -> Any:
    """Return the value as JSON has it; what JSON does not know becomes text or a number, and not-a-number becomes null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict | list | tuple):
        if levels == 0:
            raise ValueError("is nested too deep")
        if isinstance(value, dict):
            return {str(key): plain(each, levels - 1) for key, each in value.items()}
        return [plain(each, levels - 1) for each in value]
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        return int(value) if value == value.to_integral_value() and abs(value) < _EXACT else float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return _decoded(value)
    return str(value)


def encode(value: object, *, sort: bool = False) -> bytes:
    """Return ``value``, which ``plain`` returned, as JSON; with ``sort`` in one order of keys. Half a character becomes U+FFFD."""
    order: Literal["sorted"] | None = "sorted" if sort else None
    try:
        return msgspec.json.encode(value, order=order)
    except UnicodeEncodeError:
        return msgspec.json.encode(_whole_characters(value), order=order)


def _whole_characters(value: object) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_whole_characters(key): _whole_characters(each) for key, each in value.items()}
    return [_whole_characters(each) for each in value] if isinstance(value, list) else value


def parse_json(text: str | bytes) -> Any:
    """Return the value of JSON text; also of what Python's own writer adds to JSON: ``NaN``, half a character. Raises ``ValueError``."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("is nested too deep") from None
    except ValueError as error:
        raise ValueError(f"is not JSON ({error})") from None


def as_object(value: object) -> dict[str, Any] | None:
    """Return the object, or that of JSON text; None for nothing, blanks and ``null``."""
    if isinstance(value, str | bytes):
        value = _parsed(value) if value.strip() else None
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"is {shown(value)}, not an object")
    return value


def _parsed(text: str | bytes) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        raise ValueError(f"is {shown(text)}, which is not JSON") from None


def _number(value: object, decimal: str | None, *, whole: bool) -> int | float:
    try:
        if not isinstance(value, str) and (isinstance(value, bool) or not isinstance(value, int | float | Decimal)):
            raise ValueError  # noqa: TRY004 - the value of a cell, not an argument
        if isinstance(value, int):
            return value
        text = value.strip() if isinstance(value, str) else str(value)
        if decimal is not None and isinstance(value, str):
            text = _with_point(text, decimal)
        if "_" in text:  # Python reads 1_000 as a number
            raise ValueError
        try:
            return int(text)
        except ValueError:
            found = float(text)
        if not math.isfinite(found) or (whole and found != int(found)):
            raise ValueError
        return int(found) if whole else found
    except ValueError:
        unclear = decimal is None and isinstance(value, str) and len(value) <= _SHOWN and _UNCLEAR.fullmatch(value.strip())
        advice = "; set file.decimal in the mapping to its decimal sign, or leave out type to keep the text" if unclear else ""
        raise ValueError(f"is {shown(value)}, not a {'whole ' if whole else ''}number{advice}") from None


def _with_point(text: str, decimal: str) -> str:
    """Return the text of a number as Python reads it. Raises ``ValueError`` for signs that ``decimal`` does not allow."""
    if text.isalnum():
        return text
    found = _NUMBERS[decimal].fullmatch(text)
    if found is None:
        raise ValueError
    whole, fraction, exponent = found.groups(default="")
    return re.sub(r"[^\d+-]", "", whole) + fraction.replace(decimal, ".") + exponent


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError("is binary; export it as text") from None


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list | tuple) else "an object" if isinstance(value, dict) else type(value).__name__
