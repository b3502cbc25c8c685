"""Reads a secret from a file, as container platforms provide them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FILE_SUFFIX: Final = "_FILE"
"""What the name of a variable ends with that names a file instead of holding the secret."""

_LONGEST: Final = 65_536


class SecretFileError(Exception):
    """The file holds no secret. The text says why, and quotes nothing of the file."""


def read_secret(path: Path) -> str:
    """Return the text of the file without line breaks at its end. Raises ``SecretFileError``."""
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
    except FileNotFoundError:
        raise SecretFileError(f"the file {path} does not exist") from None
    except (OSError, ValueError) as error:
        raise SecretFileError(f"the file {path} cannot be read ({getattr(error, 'strerror', None) or 'not a path'})") from None
    if len(data) > _LONGEST:
        raise SecretFileError(f"the file {path} is longer than {_LONGEST} bytes; it must hold the secret and nothing else")
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SecretFileError(f"the file {path} is not UTF-8 text") from None
    if not text.strip() or "\0" in text:
        raise SecretFileError(f"the file {path} is empty" if not text.strip() else f"the file {path} is not text")
    return text
