"""The keys of all tenants, and the quotas of some, in one small file: hashed, except those that must sign.

``keys.json`` of the data directory is readable for its owner only::

    {"keys": [{"id": "k1f0c9e7a", "kind": "publishable", "tenant": "default", "digest": "…", "origins": ["https://app.example"], …}],
     "quotas": {"acme": 100000}}

A key has 192 bits of chance, so that one SHA-256 protects it: there is nothing to guess. A signing key is kept as it is, because HS256
cannot be checked without it. Whoever reads the file can mint user tokens until the signing key is revoked, and nothing else.

Who made or revoked a key is in the audit log beside it, ``audit.jsonl``.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, get_args

import msgspec

from gateway.origins import ALL_PAGES, Origins, read_origin
from local.audit_log import AuditLog
from state.event_contract import REJECTIONS, is_tenant_id
from state.times import rfc3339
from system.file_lock import FileLock
from system.private_files import write_private

_LOG = logging.getLogger(__name__)

KeyKind = Literal["publishable", "server", "signing", "webhook"]
KINDS: Final[tuple[KeyKind, ...]] = get_args(KeyKind)
PREFIX: Final[dict[KeyKind, str]] = {"publishable": "pk_", "server": "sk_", "signing": "ts_", "webhook": "wh_"}
"""How each kind of key begins, so that nobody confuses them, and a secret scanner finds those that do not belong in a page."""

PROGRAM: Final = "onramp"
"""Who makes keys that no person asked for: the first ones of ``onramp up``, those of the demo page."""
MOST_SIGNING: Final = 2
"""Signing keys of a tenant at once: one that signs, and one that is being replaced."""
MOST_EVENTS_A_DAY: Final = 1_000_000_000_000
_LOCK_SECONDS: Final = 5.0


class KeyStoreError(Exception):
    """The keys cannot be read or changed. The text is one sentence for the operator."""


class Key(msgspec.Struct, frozen=True, rename="camel"):
    """One key as it is stored. ``secret`` is set for a signing key only. Times are RFC 3339."""

    id: str
    kind: KeyKind
    tenant: str
    digest: str
    created_at: str
    secret: str | None = None
    origins: tuple[str, ...] = ()
    note: str = ""
    revoked_at: str | None = None


class _File(msgspec.Struct):
    keys: list[Key]
    quotas: dict[str, int | None] = {}


class KeyRing:
    """The keys in force, indexed. Immutable."""

    def __init__(self, keys: Sequence[Key], quotas: Mapping[str, int | None] = MappingProxyType({})) -> None:
        """``quotas``: tenant → events a day, None for no quota."""
        self.keys = tuple(keys)
        self.quotas = MappingProxyType(dict(quotas))
        active = [key for key in keys if key.revoked_at is None]
        self._by_digest = {key.digest: key for key in active if key.kind != "signing"}
        self._signing = {key.id: key for key in active if key.kind == "signing"}
        self._ids = frozenset(key.id for key in active)
        self.tenants = frozenset(key.tenant for key in active)
        named: dict[str, set[str]] = {}
        for key in active:
            if key.origins:
                named.setdefault(key.tenant, set()).update(key.origins)
        # Where no key in force names an origin any more, those of the key that was revoked last hold: a revocation opens nothing.
        for key in sorted((key for key in keys if key.revoked_at is not None), key=lambda key: key.revoked_at or "", reverse=True):
            if key.origins:
                named.setdefault(key.tenant, set(key.origins))
        self._origins = {tenant: Origins(origins) for tenant, origins in named.items()}

    def find(self, text: str) -> Key | None:
        """Return the key in force with this text. Not a signing key: those are never sent."""
        return self._by_digest.get(digest_of(text))

    def signing(self, key_id: str) -> Key | None:
        """Return the signing key in force with this id, the ``kid`` of a token."""
        return self._signing.get(key_id)

    def in_force(self, key_id: str) -> bool:
        """Whether there is a key with this id that was not revoked."""
        return key_id in self._ids

    def allows_origin(self, tenant: str, origin: str) -> bool:
        """Whether pages of ``origin`` may send requests for ``tenant``. A tenant allows all as long as no key of it ever named one, and
        when a key names all.
        """
        named = self._origins.get(tenant)
        return named is None or named.allow(origin)

    def origins(self, tenant: str) -> frozenset[str] | None:
        """Return the origins whose pages may send requests for ``tenant``; None if all may."""
        named = self._origins.get(tenant)
        return None if named is None or ALL_PAGES in named.named else named.named


class KeyStore:
    """Reads and changes the file at ``path``. Several processes may use it at once."""

    def __init__(self, path: Path, *, reload_seconds: float = 1.0, clock: Callable[[], float] = time.time) -> None:
        """Open nothing yet. ``ring`` looks at the file every ``reload_seconds``. ``clock`` is in seconds since 1970."""
        self._path = path
        self._reload_seconds = reload_seconds
        self._clock = clock
        self._lock_path = path.with_suffix(".lock")
        self._audit = AuditLog(path.with_name("audit.jsonl"), lambda: round(self._clock() * 1000))
        self._ring = KeyRing(())
        self._seen: tuple[int, int, int] | None = None
        self._looked_at = float("-inf")
        self._damaged = False

    def ring(self) -> KeyRing:
        """Return the keys in force. A change by another process is seen within a second. Does not raise: a damaged file is logged, and the
        keys known before stay in force.
        """
        now = time.monotonic()
        if now - self._looked_at >= self._reload_seconds:
            self._looked_at = now
            try:
                self._reload()
            except KeyStoreError as error:
                if not self._damaged:
                    _LOG.error("%s", error)
                self._damaged = True
        return self._ring

    def all_keys(self) -> Sequence[Key]:
        """Return all keys, also revoked ones, oldest first. Raises ``KeyStoreError``."""
        self._reload()
        return self._ring.keys

    def set_quota(self, tenant: str, events_a_day: int | None, *, by: str = PROGRAM) -> None:
        """Store how many events a day the tenant may store, None for any number. ``by`` is who set it, for the audit log.

        Raises ``KeyStoreError``, and ``AuditError`` where the audit log cannot be written.
        """
        _check_tenant(tenant)
        if events_a_day is not None and not 0 <= events_a_day <= MOST_EVENTS_A_DAY:
            raise KeyStoreError(f"A quota is a number of events from 0 to {MOST_EVENTS_A_DAY:,}, or none.")
        with self._audit.of("keys.quota", by=by, tenant=tenant, eventsADay=events_a_day):
            self._change_quotas(lambda quotas: {**quotas, tenant: events_a_day})

    def remove_quota(self, tenant: str, *, by: str = PROGRAM) -> None:
        """Let the gateway's own quota hold for the tenant again; harmless where it does. Raises as ``set_quota``."""
        with self._audit.of("keys.quota", by=by, tenant=tenant, eventsADay="default"):
            self._change_quotas(lambda quotas: {name: most for name, most in quotas.items() if name != tenant})

    def _change_quotas(self, change: Callable[[Mapping[str, int | None]], dict[str, int | None]]) -> None:
        with _Locked(self._lock_path):
            self._reload()
            self._write(self._ring.keys, change(self._ring.quotas))

    def create(
        self, kind: KeyKind, *, tenant: str = "default", origins: Sequence[str] = (), note: str = "", by: str = PROGRAM
    ) -> tuple[Key, str]:
        """Store a new key; return it and its text, which is not stored and cannot be shown again. ``by`` is who made it, for the audit log.

        Raises ``KeyStoreError``, ``OriginError`` for what is no origin, and ``AuditError`` where the audit log cannot be written.
        """
        _check_tenant(tenant)
        allowed = tuple(read_origin(origin) for origin in origins)
        if allowed and kind != "publishable":
            raise KeyStoreError(f"Origins belong to a publishable key, which pages hold; a {kind} key is never sent by a page.")
        text = PREFIX[kind] + secrets.token_hex(24)
        with _Locked(self._lock_path), self._audit.of("keys.create", by=by, kind=kind, tenant=tenant) as entry:
            self._reload()
            keys = list(self._ring.keys)
            if kind == "signing" and sum(1 for key in keys if _in_force(key, kind, tenant)) >= MOST_SIGNING:
                raise KeyStoreError(
                    f"The tenant {tenant} has {MOST_SIGNING} signing keys already: revoke the older one when no token of it is in use."
                )
            key = Key(
                id=f"k{secrets.token_hex(6)}",
                kind=kind,
                tenant=tenant,
                digest=digest_of(text),
                created_at=self._now(),
                secret=text if kind == "signing" else None,
                origins=allowed,
                note=note[:200],
            )
            entry["id"] = key.id
            self._write([*keys, key], self._ring.quotas)
        return key, text

    def revoke(self, key_id: str, *, by: str = PROGRAM) -> Key:
        """Revoke a key for good. Running gateways refuse it within a second. ``by`` is who revoked it, for the audit log.

        Raises ``KeyStoreError`` if there is none in force, and ``AuditError`` where the audit log cannot be written.
        """
        with _Locked(self._lock_path), self._audit.of("keys.revoke", by=by, id=key_id[:64]):
            self._reload()
            keys = list(self._ring.keys)
            for position, key in enumerate(keys):
                if key.id == key_id:
                    if key.revoked_at is not None:
                        raise KeyStoreError(f"The key {key_id} was revoked at {key.revoked_at} already.")
                    revoked = msgspec.structs.replace(key, revoked_at=self._now(), secret=None)
                    keys[position] = revoked
                    self._write(keys, self._ring.quotas)
                    return revoked
        raise KeyStoreError(f"There is no key {key_id[:64]!r}; `onramp keys list` shows the ids.")

    def _now(self) -> str:
        return rfc3339(int(self._clock() * 1000))

    def _reload(self) -> None:
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen == self._seen:
                return
            found = msgspec.json.decode(self._path.read_bytes(), type=_File)
        except FileNotFoundError:
            seen, found = None, _File([])
        except (OSError, ValueError) as error:  # a DecodeError is a ValueError, and so is a text that is not UTF-8
            raise KeyStoreError(f"{self._path} cannot be read ({error}); restore it from a backup.") from error
        self._ring, self._seen, self._damaged = KeyRing(found.keys, found.quotas), seen, False

    def _write(self, keys: Sequence[Key], quotas: Mapping[str, int | None]) -> None:
        if self._path.is_symlink():  # writing would replace the link, and the file that it leads to would never be seen again
            raise KeyStoreError(f"{self._path} is a link to keys that are kept elsewhere; change them there (docs/kubernetes.md#keys).")
        try:
            write_private(self._path, msgspec.json.format(msgspec.json.encode(_File(list(keys), dict(quotas)))) + b"\n")
        except OSError as error:
            raise KeyStoreError(
                f"{self._path} cannot be written: {error.strerror or error}; check its rights and the disk, and repeat the command."
            ) from error
        self._reload()


class _Locked:
    """The lock of one change, so that two commands at once lose none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path)

    def __enter__(self) -> None:
        try:
            if not self._lock.acquire("keys", _LOCK_SECONDS):
                raise KeyStoreError("Another command changes the keys; run this one again when it has ended.")
        except OSError as error:
            raise KeyStoreError(
                f"{self._path} cannot be locked: {error.strerror or error}; check its rights and the disk, and repeat the command."
            ) from error

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _check_tenant(tenant: str) -> None:
    if not is_tenant_id(tenant):
        raise KeyStoreError(f"No event can have the tenant {tenant[:64]!r}: {REJECTIONS['bad_tenant_id']}, or it stands for nobody.")


def digest_of(text: str) -> str:
    """Return what is stored of a key."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _in_force(key: Key, kind: KeyKind, tenant: str) -> bool:
    return key.kind == kind and key.tenant == tenant and key.revoked_at is None
