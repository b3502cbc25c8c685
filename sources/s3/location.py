"""Addresses of objects, ``s3://bucket/some/prefix/name``."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

SCHEME: Final = "s3://"
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LONGEST_KEY: Final = 1024  # bytes


class LocationError(ValueError):
    """The text is no address of an object. The message is a sentence part that quotes nothing, because it may hold a secret."""


class Location(NamedTuple):
    """A bucket and a key in it. A key that is empty or ends in ``/`` is a place for objects, and no object."""

    bucket: str
    key: str

    @property
    def is_place(self) -> bool:
        """Whether it names no object, but a place for them."""
        return not self.key or self.key.endswith("/")

    def child(self, name: str) -> Location:
        """Return the object ``name`` in this place."""
        return self._replace(key=f"{self.key.rstrip('/')}/{name}".lstrip("/"))

    def __str__(self) -> str:
        """Return the address."""
        return f"{SCHEME}{self.bucket}/{self.key}"


def is_s3(text: object) -> bool:
    """Whether the text is meant as such an address, also if it is none."""
    return str(text)[:3].lower() == "s3:"


def place_of(value: object) -> object:
    """Return the address if ``value`` is meant as one, and else the value as it is. Raises ``LocationError``."""
    return parse_location(str(value)) if is_s3(value) else value


def parse_location(text: str) -> Location:
    """Read an address. Raises ``LocationError``."""
    scheme, (bucket, _, key) = text[: len(SCHEME)].lower(), text[len(SCHEME) :].partition("/")
    if "@" in bucket:
        raise LocationError("an address in S3 has no user and no password: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if scheme != SCHEME or not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise LocationError("it must be s3://BUCKET/PREFIX/NAME, with a bucket of 3 to 63 lower-case letters, digits, dots and hyphens")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise LocationError("the name of an object in S3 must be UTF-8") from None
    parts = key.removesuffix("/").split("/")
    if size > _LONGEST_KEY or not key.isprintable() or (key and any(part in {"", ".", ".."} for part in parts)):
        raise LocationError(
            "the name of an object in S3 must have no empty part, no part . or .., no control characters, and at most 1,024 bytes"
        )
    return Location(bucket, key)
