"""The data directory: one directory for all files of a job on this machine.

.onramp/
├── FORMAT               version of this layout
├── job.lock             locked by the one process that may write
├── backup.lock          locked by the one backup that is being made
├── unsent-backup/       a backup to S3 until it is sent; what a kill leaves of it is removed by the next one
├── run.json             values that the job keeps between runs
├── secret.key           generated if ONRAMP_SECRET is not set but a server is
├── secret.check         digest of the secret that this directory was created with
├── state/               Bytewax recovery
├── log/                 local event log of `onramp up`
├── archive/             the log as Parquet files, which `onramp archive` writes
├── up/                  what the processes of `onramp up` say, and the catalogs that it gave them
├── guidance.jsonl       switches of guidance for runs on files
├── sent.jsonl           messages that commands send to runs on files: replayed dead letters, deletions
├── audit.jsonl          who forgot, exported, edited, replayed, paused, backed up, and made or revoked keys
├── keys.json            keys of the gateway, hashed; keys.lock beside it
├── demo.key             key of the demo page of `onramp up`, which may stand in any page
├── clickhouse/          embedded ClickHouse; its process, address and password are in server/ of it
├── valkey/              embedded Valkey, its address and password
├── spool/               rows on their way to ClickHouse
└── dead_letters.jsonl
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from local.tenants_with_users import tenants_with_users
from state.catalog.by_tenant import ByTenant
from state.other_version import other_version
from state.snapshot_layout import SNAPSHOT_LAYOUT
from system.file_lock import FileLock
from system.private_files import write_private

FORMAT: Final = 1
FILES: Final = "files"
"""The name of the input of all runs on files."""
_MARK: Final = "onramp-data"
_IGNORED: Final = (".gitignore", ".FORMAT.", "lost+found")  # left by a crash in ``create``, or present in a new volume
_OPEN_FILES: Final = 4096
_LEAST_OPEN_FILES: Final = 256  # Valkey, ClickHouse and the recovery store have about a hundred open, and libraries are loaded meanwhile
_LOCK_WAIT: Final = 0.5  # seconds; longer than another process takes to check the lock, shorter than a job


class DataDirError(Exception):
    """The directory cannot be used. The text is one sentence for the user."""


class DataDirInUseError(DataDirError):
    """Another process has locked the directory."""


def _check_name(path: Path) -> None:
    """Raise ``DataDirError`` for a name that the embedded engines cannot open."""
    try:
        whole = os.path.abspath(path)  # noqa: PTH100 -- Path.resolve() fails for a null character
        whole.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise DataDirError(f"The data directory {shown} has a name that is not UTF-8; choose another with --data-dir.") from None
    except FileNotFoundError:
        raise DataDirError("The current directory no longer exists; change to another one.") from None
    if "\0" in whole:
        raise DataDirError("The name of the data directory has a null character in it; choose another with --data-dir.")


def allow_open_files() -> None:
    """Raise the limit of open files as far as the system allows it. Raises ``DataDirError`` if that is too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < _LEAST_OPEN_FILES:
        raise DataDirError(f"This process may open {most} files, and needs {_LEAST_OPEN_FILES} or more; raise the limit (ulimit -n).")


class DataDir:
    """The directory at ``path``, which exists and has the layout of this version. ``create`` and ``open`` return one."""

    def __init__(self, path: Path) -> None:
        """Check nothing. Use ``create`` or ``open``."""
        self.path = path
        self.state = path / "state"
        self.clickhouse = path / "clickhouse"
        self.valkey = path / "valkey"
        self.spool = path / "spool"
        self.dead_letters = path / "dead_letters.jsonl"
        self.switches = path / "guidance.jsonl"
        self.sent = path / "sent.jsonl"
        self.audit = path / "audit.jsonl"
        self.keys = path / "keys.json"
        self.event_log = path / "log"
        self.archive = path / "archive"
        self.unsent_backup = path / "unsent-backup"
        self.process_logs = path / "up"
        self.secret_key = path / "secret.key"
        self.demo_key = path / "demo.key"
        self.secret_check = path / "secret.check"
        self._run = path / "run.json"
        self._lock = FileLock(path / "job.lock")

    @classmethod
    def create(cls, path: Path) -> DataDir:
        """Create the directory, or open an existing one. Raises ``DataDirError`` if it has other files or another format."""
        _check_name(path)
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)  # it contains data about people
            if not (path / "FORMAT").exists():
                foreign = [entry.name for entry in path.iterdir() if not entry.name.startswith(_IGNORED)]
                if foreign:
                    example = min(foreign)
                    raise DataDirError(f"{path} contains other files ({example}); choose an empty or new directory with --data-dir.")
                write_private(path / ".gitignore", b"*\n")  # keeps data about people out of git
                write_private(path / "FORMAT", f"{_MARK} {FORMAT}\n".encode())
            data_dir = cls.open(path)
            for directory in (data_dir.clickhouse, data_dir.valkey, data_dir.spool):
                directory.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise DataDirError(
                f"The data directory {path} cannot be used: {error.strerror or error}; "
                "check its rights and the disk, or name another one with --data-dir."
            ) from error
        return data_dir

    @classmethod
    def open(cls, path: Path) -> DataDir:
        """Open a directory that a job created. Raises ``DataDirError`` if there is none, or it has another format."""
        _check_name(path)
        try:
            mark, _, version = (path / "FORMAT").read_text(errors="replace").strip().partition(" ")
        except (FileNotFoundError, NotADirectoryError):
            raise DataDirError(
                f"There is no data in {path} yet; run `onramp demo` or `onramp run` first, or name it with --data-dir."
            ) from None
        except OSError as error:
            raise DataDirError(
                f"The data directory {path} cannot be read: {error.strerror or error}; "
                "check its rights and the disk, or name another one with --data-dir."
            ) from error
        if mark != _MARK or version != str(FORMAT):
            raise DataDirError(
                f"The data directory {path} has the format {version or mark or '(none)'}, this version of onramp reads {FORMAT}: "
                "use the version that wrote it, or start afresh with another --data-dir."
            )
        return cls(path)

    def require_writable(self) -> None:
        """Raise ``DataDirError`` if this process may not write the directory, or its file system is read-only."""
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise DataDirError(f"The data directory {self.path} cannot be written: make it and its file system writable; nothing is lost.")

    @contextmanager
    def lock(self, owner: str) -> Iterator[None]:
        """Lock the directory, to write. ``owner`` is the command for messages, like ``onramp run``.

        Raises ``DataDirInUseError``, which names the lock owner, if another process has the lock. A killed process leaves no lock. Raises
        ``DataDirError`` if this process may not open as many files as the embedded engines need.
        """
        allow_open_files()
        if not self._lock.acquire(f"{os.getpid()} {owner}", _LOCK_WAIT):
            raise DataDirInUseError(f"{self.describe_owner()}; wait for it, stop it, or choose another directory with --data-dir.")
        try:
            yield
        finally:
            self._lock.release()

    def is_running(self) -> bool:
        """Return whether a process (this one included) has the lock."""
        return self._lock.is_held()

    def describe_owner(self) -> str:
        """Return the beginning of a sentence that names the lock owner."""
        pid, _, owner = self._lock.note().partition(" ")
        return f"The data directory {self.path} is in use by process {pid or '(just starting)'}{f' ({owner})' if owner else ''}"

    def bind_catalogs(self, ids: ByTenant[str], *, name: str | None = None) -> None:
        """Bind the directory to a catalog, or to one for each tenant, permanently: tenants can be added, none can be left out.

        ``ids``: the id of the catalog of each tenant. ``name``: what they were read from, for ``catalog_name``. Call it while holding the
        lock, when the input can be read. Raises ``DataDirError`` like ``check_catalogs``.
        """
        self.check_catalogs(ids)
        run = self.read_run()
        named = {tenant: catalog_id for tenant, catalog_id in ids.items() if tenant is not None}
        for tenant, catalog_id in ids.items():
            if tenant is None:
                run["catalog"] = catalog_id
        if known := run.get("catalogs", {}) | named:
            run["catalogs"] = known
        if name is not None:
            run["catalogFrom"] = name
        self.write_run(run)

    @property
    def catalog_name(self) -> str | None:
        """What the catalogs of the last job were read from; None if that is not known. Raises ``DataDirError`` like ``read_run``."""
        name = self.read_run().get("catalogFrom")
        return name if isinstance(name, str) else None

    def check_catalogs(self, ids: ByTenant[str], *, option: str = "--catalog") -> None:
        """Raise ``DataDirError`` if the directory is bound to another catalog for any tenant: the state of its users would not fit.

        Tenants that nobody named may have users in a directory that was bound to a catalog for all others, so there must stay one, and who
        has users by it keeps it. ``option`` is the one of the command that names the catalog of the job.
        """
        run = self.read_run()
        others = next((catalog_id for tenant, catalog_id in ids.items() if tenant is None), None)
        bound = run.get("catalog", others)
        if others is None and bound is not None:
            raise DataDirError(
                f"The data directory {self.path} has users of tenants that no catalog names, with the catalog {bound}: keep that one "
                "without `tenants`, or choose another directory with --data-dir."
            )
        if bound != others:
            raise DataDirError(
                f"The data directory {self.path} belongs to the catalog {bound}, this run uses {others}: name the right one with "
                f"{option}, or choose another directory with --data-dir."
            )
        for tenant, known in {**self._with_catalog_for_others(run, ids), **run.get("catalogs", {})}.items():
            if (now := ids.find(tenant)) != known:
                uses = "has none for it" if now is None else f"uses {now} for it"
                raise DataDirError(
                    f"The tenant {tenant} belongs to the catalog {known} in the data directory {self.path}, and this run {uses}: keep the "
                    "tenant in that catalog (`observe: true` in it ends all guidance), or choose another directory with --data-dir."
                )

    def _with_catalog_for_others(self, run: dict[str, Any], ids: ByTenant[str]) -> dict[str, str]:
        """Tenants with users by the catalog for all others → its id; empty if ``ids`` gives no tenant another one for the first time.

        The recovery store knows them: it has learned of each.
        """
        bound = run.get("catalog")
        if bound is None or all(catalog_id == bound or tenant in run.get("catalogs", {}) for tenant, catalog_id in ids.items()):
            return {}
        try:
            return dict.fromkeys(tenants_with_users(self.state), bound)
        except sqlite3.Error as error:
            raise DataDirError(f"The recovery store {self.state} cannot be read ({error}); check the disk and its rights.") from error

    def bind_layout(self) -> None:
        """Note the layout of the snapshots that this release writes. Call it while holding the lock, before any is written.

        Raises ``DataDirError`` like ``check_layout``.
        """
        self.check_layout()
        run = self.read_run()
        if run.get("layout") != SNAPSHOT_LAYOUT:
            self.write_run({**run, "layout": SNAPSHOT_LAYOUT})

    def check_layout(self) -> None:
        """Raise ``DataDirError`` if a newer release has written snapshots here: this one would drop what it does not know in them."""
        layout = self.read_run().get("layout")
        if isinstance(layout, int) and layout > SNAPSHOT_LAYOUT:
            raise DataDirError(f"{other_version(f'The recovery store {self.state}', layout, SNAPSHOT_LAYOUT)}.")

    def bind_input(self, name: str) -> None:
        """Bind the directory to an input, permanently. Call it while holding the lock. Raises ``DataDirError`` like ``check_input``."""
        self.check_input(name)
        self.write_run({**self.read_run(), "input": name})

    def check_input(self, name: str) -> None:
        """Raise ``DataDirError`` if the directory is bound to another input: it holds positions in that one, and none in this."""
        bound = self.read_run().get("input", name)
        if bound != name and bound == FILES:
            raise DataDirError(
                f"The data directory {self.path} holds runs on files; a live job needs a directory of its own (docs/integrations.md): name "
                "another one with --data-dir."
            )
        if bound != name:
            raise DataDirError(
                f"The data directory {self.path} was written from {bound}, this run reads {name}: choose another directory with "
                f"--data-dir, or read {bound} again."
            )

    def note_log(self, path: Path, log_id: str) -> None:
        """Note which event log the job reads. Call it while holding the lock."""
        self.write_run({**self.read_run(), "eventLog": {"path": str(path.resolve()), "id": log_id}})

    def forget_log(self) -> None:
        """Drop that note, in a restored directory: its job goes on with the log of the backup, or with the old one."""
        run = self.read_run()
        if run.pop("eventLog", None) is not None:
            self.write_run(run)

    @property
    def noted_log(self) -> tuple[Path, str] | None:
        """Where the event log of the job was at its last start, and its id; None where that is not known, or the job reads none.

        Raises ``DataDirError`` like ``read_run``.
        """
        run = self.read_run()
        found = run.get("eventLog")
        if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in ("path", "id")):
            return None
        return Path(found["path"]), found["id"]

    @property
    def input_name(self) -> str | None:
        """What the job of this directory reads; None where none has begun. Raises ``DataDirError`` like ``read_run``."""
        name = self.read_run().get("input")
        return name if isinstance(name, str) else None

    @property
    def was_used(self) -> bool:
        """Whether a job has begun to read its input here. Raises ``DataDirError`` like ``read_run``."""
        return bool({"input", "catalog", "catalogs"} & self.read_run().keys())

    @property
    def started(self) -> float:
        """When a job was started here last, in seconds since 1970; 0 if none was."""
        try:
            return self._run.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def read_run(self) -> dict[str, Any]:
        """Return the content of the last ``write_run``; empty before the first.

        Raises ``DataDirError`` for a file that is damaged or cannot be read.
        """
        try:
            content = json.loads(self._run.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise DataDirError(
                f"{self._run} cannot be read: {error.strerror or error}; check its rights and the disk, and repeat the command."
            ) from error
        except ValueError as error:
            raise DataDirError(f"{self._run} is damaged ({error}); restore it, or start afresh with another --data-dir.") from error
        if not isinstance(content, dict):
            raise DataDirError(f"{self._run} is damaged (not an object); restore it, or start afresh with another --data-dir.")
        return content

    def write_run(self, content: dict[str, Any]) -> None:
        """Replace the values that a job keeps between runs, atomically, durably. Call it while holding the lock. Raises ``OSError``."""
        write_private(self._run, json.dumps(content, indent=2, sort_keys=True).encode() + b"\n")
