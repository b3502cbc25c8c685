"""Parses JSON with numbers of any size, to say what is wrong with a message that the decoder refuses."""

from __future__ import annotations

import json
from typing import Any

import msgspec


class HugeNumber(float):
    """A number that neither a 64-bit integer nor a float can hold, as infinity, with its first digits."""

    text = ""


def _number(text: str) -> float:
    if len(text) < 300 and abs(float(text)) != float("inf"):
        return int(text) if text.lstrip("-").isdigit() else float(text)
    number = HugeNumber("inf")
    number.text = text if len(text) <= 40 else f"{text[:39]}…"
    return number


def _not_a_number(text: str) -> float:
    raise msgspec.DecodeError(f"{text} is not JSON; send null or a string")


def parse_leniently(value: bytes) -> Any:
    """Parse JSON, and numbers of any size. Raises ``msgspec.DecodeError`` or ``RecursionError``."""
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        try:
            return json.loads(value.decode(), parse_int=_number, parse_float=_number, parse_constant=_not_a_number)
        except (ValueError, RecursionError) as second:  # a DecodeError is a ValueError
            raise (second if isinstance(second, msgspec.DecodeError) else error) from None


def out_of_range(value: object) -> HugeNumber | None:
    """The first number in ``value`` that is out of range."""
    if isinstance(value, HugeNumber):
        return value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for each in inner if (found := out_of_range(each)) is not None), None)
