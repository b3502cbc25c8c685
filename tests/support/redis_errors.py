"""Errors of Redis as the client makes them."""

from __future__ import annotations

from redis._parsers.base import BaseParser
from redis.exceptions import RedisError


def received(text: str) -> RedisError:
    """The error as the client makes it of what the server sent."""
    return BaseParser.parse_error(text)  # type: ignore[no-any-return, no-untyped-call]
