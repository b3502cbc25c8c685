"""Provides the secret key of all ids and digests."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from typing import Final

from local.data_dir import DataDir, DataDirError
from system.private_files import write_private

_LOG = logging.getLogger(__name__)

DEVELOPMENT_SECRET: Final = b"onramp development secret, not for production"
"""The key if everything is embedded and ``ONRAMP_SECRET`` is not set, so that the same input gives the same ids on every machine."""
_DIGEST: Final = re.compile(rb"[0-9a-f]{32}")
_LEAST_BYTES: Final = 16


def secret_for(data_dir: DataDir, *, given: str | None, embedded: bool) -> bytes:
    """Return the key: the one ``given``, else the development key if all is ``embedded``, else one that is generated once and stored.

    Call it while holding the lock of ``data_dir``. The directory stores a digest of its first key. Raises ``DataDirError`` for another
    key, because under it every user would be a new user.
    """
    if given is not None:
        secret = given.encode()
    elif embedded:
        secret = DEVELOPMENT_SECRET
    else:
        _refuse_development_directory(data_dir)
        secret = _stored_or_generated(data_dir)
    _check_secret(secret, data_dir)
    return secret


def _refuse_development_directory(data_dir: DataDir) -> None:
    if _known_digest(data_dir) == _digest(DEVELOPMENT_SECRET):
        raise DataDirError(_development_directory_message(data_dir))


def _known_digest(data_dir: DataDir) -> str | None:
    """The digest of the secret that the directory was created with; None where it has had none yet. Raises ``DataDirError``."""
    try:
        known = data_dir.secret_check.read_bytes().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataDirError(
            f"{data_dir.secret_check} cannot be read: {error.strerror or error}; check its rights and the disk, and repeat the command."
        ) from error
    if _DIGEST.fullmatch(known) is None:
        raise DataDirError(
            f"{data_dir.secret_check} is damaged: it holds no digest of a secret. Restore it from a backup. If ONRAMP_SECRET surely is the "
            "one that this directory has always had, remove the file instead, and the next start of the job writes it again."
        )
    return known.decode()


def _development_directory_message(data_dir: DataDir) -> str:
    return (
        f"The data directory {data_dir.path} was created by an embedded run without ONRAMP_SECRET; a job with real services needs another "
        "directory: choose one with --data-dir or ONRAMP_DATA_DIR."
    )


def _digest(secret: bytes) -> str:
    return hashlib.blake2b(b"onramp data directory", key=hashlib.sha256(secret).digest(), digest_size=16).hexdigest()


def _stored_or_generated(data_dir: DataDir) -> bytes:
    secret = _stored(data_dir)
    if secret is None:
        secret = secrets.token_hex(32).encode()
        write_private(data_dir.secret_key, secret + b"\n")
        _LOG.warning(
            "ONRAMP_SECRET is not set; generated one and stored it in %s. Set the same secret for every process of this job",
            data_dir.secret_key,
        )
    return secret


def _stored(data_dir: DataDir) -> bytes | None:
    """The secret that was generated here; None if none was. Raises ``DataDirError``."""
    try:
        secret = data_dir.secret_key.read_bytes().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataDirError(
            f"{data_dir.secret_key} cannot be read: {error.strerror or error}; check its rights and the disk, and repeat the command."
        ) from error
    if len(secret) < _LEAST_BYTES:
        raise DataDirError(f"{data_dir.secret_key} is damaged; restore it from a backup, or set ONRAMP_SECRET.")
    return secret


def _check_secret(secret: bytes, data_dir: DataDir) -> None:
    digest = _digest(secret)
    known = _known_digest(data_dir)
    if known is None:
        write_private(data_dir.secret_check, digest.encode() + b"\n")
        return
    if known == _digest(DEVELOPMENT_SECRET) != digest:
        raise DataDirError(_development_directory_message(data_dir))
    if not hmac.compare_digest(known, digest):
        raise DataDirError(
            f"The data directory {data_dir.path} was created with another ONRAMP_SECRET; under this one all its users would be new users; "
            "set the old one, or choose another directory with --data-dir."
        )


def agrees(data_dir: DataDir, secret: bytes) -> bool | None:
    """Return whether the directory was created with ``secret``; None where it has had none yet. Changes nothing.

    Raises ``DataDirError`` if the file that tells it cannot be read or is damaged.
    """
    known = _known_digest(data_dir)
    return None if known is None else hmac.compare_digest(known, _digest(secret))


def secret_of_job(data_dir: DataDir, *, given: str | None, embedded: bool) -> bytes:
    """Return the key of the job on ``data_dir``, for a process beside it. Takes no lock.

    Raises ``DataDirError`` if none is known, or if the directory was created with another one: hashes of users would be nobody's.
    """
    secret = given.encode() if given is not None else DEVELOPMENT_SECRET if embedded else _stored(data_dir)
    if secret is None:
        raise DataDirError(
            "The key of recommendation ids is not known here: start the job of this data directory first, which makes one, or set "
            "ONRAMP_SECRET, or ONRAMP_SIGNING_KEY, to the value that the job has."
        )
    if agrees(data_dir, secret) is False:
        named = "this ONRAMP_SECRET is not it" if given is not None else "ONRAMP_SECRET is not set here"
        raise DataDirError(
            f"The data directory {data_dir.path} was created with another secret, and {named}: set ONRAMP_SECRET to the value that the job "
            "has, or name the right directory with --data-dir."
        )
    return secret
