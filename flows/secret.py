"""The key under which all ids and digests are made."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from typing import Final

from flows.data_dir import DataDir, DataDirError
from flows.private_files import write_private
from flows.settings import Settings

_LOG = logging.getLogger(__name__)

DEVELOPMENT_SECRET: Final = b"onramp development secret, not for production"
"""Used where everything is embedded and ``ONRAMP_SECRET`` is not set, so that the same input gives the same ids everywhere."""


def secret_for(settings: Settings, data_dir: DataDir) -> bytes:
    """Return the key in force: ``ONRAMP_SECRET``, else the development key if all is embedded, else one generated once and kept.

    Call it while holding the lock of ``data_dir``. The directory remembers a digest of the first key used with it: with another
    key every person would look new. Raises ``DataDirError`` for that.
    """
    if settings.secret is not None:
        secret = settings.secret.get_secret_value().encode()
    elif settings.embedded:
        secret = DEVELOPMENT_SECRET
    else:
        secret = _generated_once(data_dir)
    _refuse_another(secret, data_dir)
    return secret


def _generated_once(data_dir: DataDir) -> bytes:
    try:
        secret = data_dir.secret_key.read_bytes().strip()
    except FileNotFoundError:
        secret = secrets.token_hex(32).encode()
        write_private(data_dir.secret_key, secret + b"\n")
        _LOG.warning(
            "ONRAMP_SECRET is not set: generated one and kept it in %s; set the same secret for every process of this job",
            data_dir.secret_key,
        )
    if len(secret) < 16:
        raise DataDirError(f"{data_dir.secret_key} is damaged; restore it from a backup, or set ONRAMP_SECRET.")
    return secret


def _refuse_another(secret: bytes, data_dir: DataDir) -> None:
    digest = hashlib.blake2b(b"onramp data directory", key=hashlib.sha256(secret).digest(), digest_size=16).hexdigest()
    try:
        known = data_dir.secret_check.read_text().strip()
    except FileNotFoundError:
        write_private(data_dir.secret_check, digest.encode() + b"\n")
        return
    if not hmac.compare_digest(known, digest):
        raise DataDirError(
            f"The data directory {data_dir.path} was made with another ONRAMP_SECRET, under which everybody here would look new; "
            "set the old one, or choose another directory with --data-dir."
        )
