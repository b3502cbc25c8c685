"""The file of a backup: a tar archive, gzipped if its name says so, that only its owner may read.

::

    onramp-backup.json   first: the format, and the version that wrote it
    FORMAT, state/…, …   files of the data directory, under their names in it
    manifest.json        last: everything about the backup, with size and SHA-256 of every file

A file that was cut off has no manifest. ``unpack`` takes regular files alone, under names that a backup has, and compares each with the
manifest. The checksums show damage, and not who wrote the file: whoever can change it can change them, too. So the manifest is signed with
ONRAMP_SECRET, where that is set and not in the backup itself. Signed or not, nothing in a backup may run code: before the directory can be
used, snapshots (``local/plain_snapshots.py``), the event log (``local/plain_log.py``) and records (``local/plain_records.py``) are checked,
and the tables of ClickHouse are made anew around the rows (``local/restored_tables.py``).
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import hmac
import io
import json
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Any, Final, NamedTuple, cast

import msgspec

from local.data_dir import FORMAT as LAYOUT
from local.plain_log import what_is_no_log
from local.plain_records import what_is_no_record
from local.plain_snapshots import what_is_not_plain
from local.restored_tables import remake_tables
from system.sync_path import sync_path

FORMAT: Final = 1
"""Of the archive. A higher number means that this version cannot restore it."""
_FIRST: Final = "onramp-backup.json"
_LAST: Final = "manifest.json"
_NAMES: Final = re.compile(
    r"\.gitignore|FORMAT|run\.json|secret\.key|secret\.check|guidance\.jsonl|sent\.jsonl|audit\.jsonl|keys\.json|demo\.key"
    r"|dead_letters\.jsonl|catalog\.yaml|catalogs/[^/]+|state/[^/]+|log/events\.db|spool/(?:rejected/)?[^/]+"
    r"|valkey/appendonlydir/[^/]+|clickhouse/(?:metadata|store)/.+",
    re.DOTALL,
)
"""Names of all files in a backup. What is in ``state``, ``log``, ``valkey`` and ``clickhouse`` is checked once all of it is there."""
_LONGEST: Final = 1024 * 1024
_LONGEST_FOR_A_FILE: Final = 1024
"""Bytes of the first file, and of the manifest: so many, and so many more for each file. Parsed they need twenty times as much memory."""
_BLOCK: Final = 1024 * 1024
_LONGEST_HEADER: Final = 64 * 1024
"""Bytes of all that is read for the header of one file, and its fill. ``tarfile`` holds them in memory; those of a backup have 2,000."""
_UNPACKING: Final = ".restoring"
_MARK: Final = "FORMAT"  # without it no command takes the directory for a data directory
_NO_ARCHIVE: Final = (
    *(tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile),
    *(ValueError, ArithmeticError, LookupError, RecursionError),  # of ``tarfile``, for headers that nobody writes
)
_EMPTY: Final = frozenset({"lost+found", _UNPACKING})

_Whole = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

Manifest = dict[str, Any]
OnBytes = Callable[[int], object]


class _Shown(msgspec.Struct):
    """What ``onramp restore`` shows of a manifest. One without it is no manifest of a backup."""

    onramp: str
    takenAt: str  # noqa: N815 -- as it is written
    epoch: _Whole | None
    keys: dict[str, _Whole]
    rows: dict[str, _Whole]
    notIncluded: list[str]  # noqa: N815
    messages: _Whole = 0


class SignatureCheck(NamedTuple):
    """How ``unpack`` finds out whether a backup was changed by others. ``secret``: ONRAMP_SECRET, if it is set here."""

    secret: bytes | None = None
    skipped: bool = False


NO_SECRET: Final = SignatureCheck()


class BackupError(Exception):
    """A backup cannot be written or restored. The text is one sentence for the user."""


class BackupWriter:
    """Adds files to an archive. ``writing`` makes one."""

    def __init__(self, archive: tarfile.TarFile, now: int, on_bytes: OnBytes) -> None:
        self._archive, self._now, self._on_bytes = archive, now, on_bytes
        self._files: dict[str, dict[str, Any]] = {}

    def add(self, name: str, path: Path, size: int | None = None) -> None:
        """Add the file at ``path`` as ``name``, or its first ``size`` bytes. Raises ``OSError``, also if it has fewer."""
        with path.open("rb") as file:
            self.add_open(name, file, size)

    def add_open(self, name: str, file: IO[bytes], size: int | None = None) -> None:
        """Like ``add``, for an open file, which may have been removed meanwhile."""
        length = os.fstat(file.fileno()).st_size if size is None else size
        hashed = _Hashed(file, self._on_bytes)
        self._put(name, length, hashed)
        self._files[name] = {"size": length, "sha256": hashed.digest()}

    def add_bytes(self, name: str, data: bytes) -> None:
        """Add a small file with this content."""
        hashed = _Hashed(io.BytesIO(data), self._on_bytes)
        self._put(name, len(data), hashed)
        self._files[name] = {"size": len(data), "sha256": hashed.digest()}

    def finish(self, about: Manifest, secret: bytes | None = None) -> Manifest:
        """Add the manifest, which has the fields of ``about`` and all files, and return it. It is signed if there is a ``secret``."""
        manifest = {**about, "files": self._files}
        if secret is not None:
            manifest["signature"] = _signature(manifest, secret)
        self.put_json(_LAST, manifest)
        return manifest

    def put_json(self, name: str, content: Manifest) -> None:
        """Add one of the two files that are not of the data directory."""
        data = json.dumps(content, indent=1).encode() + b"\n"
        self._put(name, len(data), _Hashed(io.BytesIO(data), self._on_bytes))

    def _put(self, name: str, size: int, content: _Hashed) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = size, 0o600, self._now // 1000
        self._archive.addfile(entry, cast(IO[bytes], content))


@contextmanager
def writing(target: Path, about: Manifest, now: int, on_bytes: OnBytes) -> Iterator[BackupWriter]:
    """Write the archive ``target``; ``about`` says who writes it. ``now`` is in milliseconds, ``on_bytes`` gets the size of each piece.

    The file has its name once it is whole and on disk: a block that fails leaves nothing. Raises ``BackupError`` if the name is taken,
    and ``OSError``.
    """
    if target.exists() or target.is_symlink():
        raise BackupError(f"{target} exists already; name another file with --out.")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as plain:
            with _packed(target.name, plain) as file, tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
                writer = BackupWriter(archive, now, on_bytes)
                writer.put_json(_FIRST, {"format": FORMAT, "layout": LAYOUT, **about})
                yield writer
            plain.flush()
            os.fsync(plain.fileno())
        part.rename(target)
        sync_path(target.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _packed(name: str, plain: IO[bytes]) -> Iterator[IO[bytes]]:
    if name.endswith((".gz", ".tgz")):
        with gzip.GzipFile(filename="", mode="wb", fileobj=plain, mtime=0, compresslevel=1) as packed:
            yield cast(IO[bytes], packed)
    else:
        yield plain


def unpack(backup: Path, into: Path, on_bytes: OnBytes, signature: SignatureCheck = NO_SECRET) -> Manifest:
    """Write the files of a backup to the directory ``into``, as ``unpack_from`` does. Raises what that raises."""
    with _opened(backup) as plain:
        return unpack_from(plain, backup, into, on_bytes, signature)


def check(backup: Path, on_bytes: OnBytes) -> None:
    """Read a backup to its end and compare every file with the manifest. Raises ``BackupError`` and ``OSError``."""
    with _opened(backup) as plain:
        _verified(plain, backup, lambda content, entry: _digest_of(content, entry, on_bytes))


@contextmanager
def _opened(backup: Path) -> Iterator[io.BufferedReader]:
    try:
        plain = backup.open("rb")
    except OSError as error:
        raise BackupError(f"The backup {backup} cannot be read ({error.strerror}); check the name of the file and its rights.") from error
    with plain:
        yield plain


def unpack_from(plain: io.BufferedReader, backup: object, into: Path, on_bytes: OnBytes, signature: SignatureCheck = NO_SECRET) -> Manifest:
    """Write the files of a backup that is read from ``plain`` once, to the directory ``into``, which is created, or is empty.

    ``backup`` is its name in messages. Return the manifest. Until every file was compared with the manifest, all of them are in a directory
    inside ``into``, which is no data directory yet. A restore that ends early leaves nothing, or a directory that no command accepts.
    Where the backup has tables, ClickHouse runs for some seconds. Raises ``BackupError``, ``StoreError``, ``OSError`` and what ``plain``
    raises.
    """
    with _alone(into):
        into.chmod(0o700)  # one that was there, too: a backup is private
        building = into / _UNPACKING
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(mode=0o700)
        try:
            manifest = _verified(plain, backup, lambda content, entry: _extract(content, entry, building, backup, on_bytes))
            _check_signature(manifest, backup, signature)
            _make_harmless(building, backup)
            for path in sorted(building.iterdir(), key=lambda path: path.name == _MARK):
                path.rename(into / path.name)
            building.rmdir()
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        sync_path(into)
        sync_path(into.parent)
    return manifest


@contextmanager
def _alone(into: Path) -> Iterator[None]:
    """Create the directory if there is none, and be the one process that writes a backup to it. Raises ``BackupError``."""
    _refuse_used(into)
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory = os.open(into, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _refuse_used(into)  # the one that had the lock may have ended just now
        yield
    except BlockingIOError:
        raise BackupError(f"Another process restores a backup into {into}; wait for it, or name a new directory with --into.") from None
    finally:
        os.close(directory)


def _refuse_used(into: Path) -> None:
    if into.exists() and not into.is_dir():
        raise BackupError(f"{into} is not a directory; name a new one with --into.")
    if into.is_dir() and (found := sorted(path.name for path in into.iterdir() if path.name not in _EMPTY)):
        raise BackupError(f"{into} is not empty (it has {found[0]}); name a new directory with --into.")


def _make_harmless(building: Path, backup: object) -> None:
    """Check and replace what could run code or lose events later. Raises ``BackupError``, ``StoreError`` and ``OSError``."""
    places = {"state": what_is_not_plain, "log": what_is_no_log, "valkey": what_is_no_record, "clickhouse": remake_tables}
    for place, fault_in in places.items():
        if (fault := fault_in(building / place)) is not None:
            raise BackupError(f"The backup {backup} was changed: in {place}/, {fault}. Use another one; nothing was restored.")
    for directory, _, _ in os.walk(building):
        Path(directory).chmod(0o700)  # one that was made for a file in it, too
        sync_path(Path(directory))


def _verified(plain: io.BufferedReader, backup: object, take: Callable[[IO[bytes], tarfile.TarInfo], dict[str, Any]]) -> Manifest:
    """Read a backup to its end, and return its manifest if all is as it was written. ``take`` reads a file and returns its entry there."""
    found: dict[str, dict[str, Any]] = {}
    manifest: Manifest | None = None
    try:
        packed = plain.peek(2)[:2] == b"\x1f\x8b"
        file = cast(IO[bytes], gzip.GzipFile(fileobj=plain)) if packed else plain
        with _Entries(file) as entries:
            _check_first(entries, backup)
            while (entry := entries.next()) is not None:
                content = entries.content(entry) if entry.isreg() and not entry.issparse() else None
                if content is None or manifest is not None:  # the manifest is the last one
                    raise BackupError(f"The backup {backup} was changed: {entry.name!r} is no file of it; nothing was restored.")
                if entry.name == _LAST:
                    manifest = _json(content, entry, backup, _LONGEST + _LONGEST_FOR_A_FILE * len(found))
                    continue
                found[entry.name] = take(content, entry)
    except _NO_ARCHIVE as error:
        raise BackupError(f"{backup} is no backup of onramp, or is damaged ({error}); nothing was restored.") from error
    if manifest is None:
        raise BackupError(f"The backup {backup} is cut off; copy it again, or use another one. Nothing was restored.")
    expected = manifest.get("files")
    if not isinstance(expected, dict) or expected != found:
        names = expected.keys() ^ found.keys() if isinstance(expected, dict) else set()
        different = sorted(names or (name for name in found if isinstance(expected, dict) and expected[name] != found[name]))
        raise BackupError(
            f"The backup {backup} is damaged: {', '.join(different[:3]) or 'its manifest'} is not what was written; use another one. "
            "Nothing was restored."
        )
    try:
        msgspec.convert(manifest, _Shown)
    except msgspec.ValidationError as error:
        raise BackupError(f"The backup {backup} is damaged: its manifest is none ({error}); nothing was restored.") from error
    if _MARK not in found:
        raise BackupError(f"The backup {backup} has no file {_MARK}, so it is of no data directory; nothing was restored.")
    return manifest


def _check_signature(manifest: Manifest, backup: object, check: SignatureCheck) -> None:
    found = manifest.get("signature")
    if check.skipped or (found is None and check.secret is None):
        return
    if check.secret is None:
        raise BackupError(
            f"The backup {backup} is signed, and ONRAMP_SECRET is not set here: set it to the value that the job had, or add --unsigned to "
            "restore a backup that others may have changed. Nothing was restored."
        )
    if found is None:
        raise BackupError(
            f"The backup {backup} is not signed: an older version made it, its job had no ONRAMP_SECRET, or somebody changed it. Add "
            "--unsigned if nobody else can write where it was kept. Nothing was restored."
        )
    if not isinstance(found, str) or not hmac.compare_digest(found.encode(), _signature(manifest, check.secret).encode()):
        raise BackupError(
            f"The backup {backup} is not signed with this ONRAMP_SECRET: its job had another one, or somebody changed it. Set the one of "
            "the job. Nothing was restored."
        )


def _signature(manifest: Manifest, secret: bytes) -> str:
    """A keyed hash of all other fields, and so of all files. The key is for this purpose only."""
    fields = json.loads(json.dumps({name: value for name, value in manifest.items() if name != "signature"}))
    key = hashlib.blake2b(b"onramp backup", key=hashlib.sha256(secret).digest(), digest_size=32).digest()
    return hmac.new(key, json.dumps(fields, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def _check_first(entries: _Entries, backup: object) -> None:
    entry = entries.next()
    content = entries.content(entry) if entry is not None and entry.isreg() and entry.name == _FIRST else None
    if entry is None or content is None:
        raise BackupError(f"{backup} is no backup of onramp; nothing was restored.")
    about = _json(content, entry, backup, _LONGEST)
    formats = about.get("format"), about.get("layout")
    if formats != (FORMAT, LAYOUT):
        raise BackupError(
            f"The backup {backup} was made by a newer version of onramp ({about.get('onramp')}; its formats are {formats[0]} and "
            f"{formats[1]}, this version reads {FORMAT} and {LAYOUT}): upgrade, then restore it."
        )


def _json(content: IO[bytes], entry: tarfile.TarInfo, backup: object, most: int) -> Manifest:
    try:
        loaded = json.loads(content.read(entry.size)) if entry.size <= most else None
    except (ValueError, RecursionError):
        loaded = None
    if not isinstance(loaded, dict):
        raise BackupError(f"The backup {backup} is damaged: {entry.name} cannot be read; use another one. Nothing was restored.")
    return loaded


def _extract(content: IO[bytes], entry: tarfile.TarInfo, building: Path, backup: object, on_bytes: OnBytes) -> dict[str, Any]:
    name = PurePosixPath(entry.name)
    # The text itself too: the class drops what is doubled.
    if str(name) != entry.name or ".." in name.parts or _NAMES.fullmatch(entry.name) is None or "\0" in entry.name:
        raise BackupError(f"The backup {backup} has a file that does not belong there ({entry.name!r}); nothing was restored.")
    target = building / name
    hashed = _Hashed(content, on_bytes)
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            shutil.copyfileobj(cast(IO[bytes], hashed), file, _BLOCK)
            file.flush()
            os.fsync(file.fileno())
    except (FileExistsError, NotADirectoryError):
        raise BackupError(f"The backup {backup} has {entry.name!r} twice; it was changed, nothing was restored.") from None
    return {"size": entry.size, "sha256": hashed.digest()}


def _digest_of(content: IO[bytes], entry: tarfile.TarInfo, on_bytes: OnBytes) -> dict[str, Any]:
    hashed = _Hashed(content, on_bytes)
    while hashed.read(_BLOCK):
        pass
    return {"size": entry.size, "sha256": hashed.digest()}


class _Entries:
    """The entries of an archive, one after the other. It holds one of them in memory at a time, whatever their headers say."""

    def __init__(self, file: IO[bytes]) -> None:
        """Read the first header. Raises the errors of ``tarfile``."""
        self._file = file
        self._left: int | None = _LONGEST_HEADER
        self._archive = tarfile.open(fileobj=cast(IO[bytes], self), mode="r|")  # noqa: SIM115 - ``__exit__`` closes it

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *_error: object) -> None:
        self._archive.close()

    def next(self) -> tarfile.TarInfo | None:
        """Return the next entry, None at the end. The one before was read to its end. Raises the errors of ``tarfile``."""
        self._left = _LONGEST_HEADER
        entry = self._archive.next()
        self._left = None
        self._archive.members = []  # type: ignore[attr-defined] # of all entries so far
        if self._archive.pax_headers:  # they add up
            raise tarfile.HeaderError("it has a header for all files")
        return entry

    def content(self, entry: tarfile.TarInfo) -> IO[bytes] | None:
        """Return the content of the entry that ``next`` returned last."""
        return self._archive.extractfile(entry)

    def read(self, size: int) -> bytes:
        """Return the next bytes, for the archive. Raises ``tarfile.HeaderError``."""
        data = self._file.read(size)
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise tarfile.HeaderError(f"it has a header of more than {_LONGEST_HEADER:,} bytes")
        return data


class _Hashed:
    """A file to read from, which adds up the hash of what was read."""

    def __init__(self, file: IO[bytes], on_bytes: OnBytes) -> None:
        self._file, self._on_bytes, self._hash = file, on_bytes, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        data = self._file.read(size)
        self._hash.update(data)
        self._on_bytes(len(data))
        return data

    def digest(self) -> str:
        """The hash so far, in hexadecimal."""
        return self._hash.hexdigest()
