"""The ClickHouse engine (chdb) of one directory, as sessions that run statements. Imported by the engine's own process only."""

from __future__ import annotations

import itertools
import os
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_IDLE_SESSIONS: Final = 16
"""Sessions kept for reuse: a new one costs 2 ms, and 1 ms more for each setting, which a client sends with each request."""
_MAX_RESULT: Final = 4 * 2**30
"""Bytes of a result. In most formats the engine holds all of it before it can be sent; a report of a million decisions has one gigabyte."""
_STREAMED: Final = frozenset({"Native", "TSV", "TabSeparated", "CSV", "RowBinary", "JSONEachRow"})
"""Formats whose blocks can be sent one after another: they have no header and no end."""
_SETTING: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CODE: Final = re.compile(r"Code: (\d+)\. DB::")
# A session whose statement may have changed it (SET, USE, a temporary table) is not used again.
_KEEPS_SESSION: Final = re.compile(
    r"\s*\(*\s*(select|with|show|desc|describe|exists|explain|insert|alter|drop|kill|create(?!\s+(?:or\s+replace\s+)?temp))\b[^;]*$",
    re.IGNORECASE,
)
_READS: Final = re.compile(r"\s*\(*\s*(select|with)\b", re.IGNORECASE)
_UNKNOWN: Final = 1002  # ClickHouse's UNKNOWN_EXCEPTION
_UNKNOWN_SETTING: Final = 115
_NOT_ENOUGH_SPACE: Final = 243


class EngineError(Exception):
    """The engine refused a statement. The text is that of ClickHouse, ``code`` its exception code."""

    def __init__(self, text: str, code: int | None = None) -> None:
        """Take the code from the text, if it is not given."""
        start = text.find("Code: ")
        super().__init__((text[start:] if start > 0 else text).strip())
        found = _CODE.search(text)
        self.code = code if code is not None else int(found[1]) if found else _UNKNOWN


class Session:
    """One connection to the engine with a database and settings. One thread uses it at a time. ``Engine.session`` makes one."""

    def __init__(self, connection: Any, tag: str, directory: Path) -> None:
        """``tag`` finds the running statement of this session in the engine. ``directory``: where an insert may keep its rows meanwhile."""
        self._connection = connection
        self.tag = tag
        self._directory = directory
        self.reusable = True

    def run(self, sql: str, output: str, parameters: Mapping[str, str]) -> Iterator[bytes]:
        """Run one statement and yield its result, in pieces where the format allows it. Blocks.

        Raises ``EngineError``, also between two pieces.
        """
        self.reusable = self.reusable and _KEEPS_SESSION.match(sql) is not None
        bound = {"params": dict(parameters)} if parameters else {}
        try:
            if output in _STREAMED and _READS.match(sql):
                with self._connection.send_query(sql, output, **bound) as blocks:
                    for block in blocks:
                        yield block.bytes()
            else:
                yield self._connection.query(sql, output, **bound).bytes() or b""
        except Exception as error:  # noqa: BLE001 -- the engine has no classes of its own for its errors
            self.reusable = False
            raise EngineError(str(error)) from None

    def insert(self, into: str, data_format: str, data: Iterable[bytes]) -> int:
        """Insert rows that arrive in pieces; return how many. When it returns, they are stored.

        Raises ``EngineError``, and what ``data`` raises; then none of these rows are stored, or the first of several blocks.

        The rows go through a file without a name. The engine's own way to take them in pieces (``send_insert``) acknowledges rows that it
        could not store: it does not tell of a full disk, of too many parts, or of a constraint.
        """
        self.reusable = False  # after an error the state of the connection is not known
        with _unnamed_file(self._directory) as file:
            for piece in data:
                _write(file, piece)
            os.lseek(file, 0, os.SEEK_SET)
            try:
                result = self._connection.query(f"{into} FROM INFILE '/dev/fd/{file}' FORMAT {data_format}", "TSV")
            except Exception as error:  # noqa: BLE001 -- the engine has no classes of its own for its errors
                raise EngineError(str(error)) from None
        self.reusable = True
        return int(result.rows_written())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Engine:
    """The engine on ``directory``. Only one process can have it open, and a process only one. All methods may be called by any thread."""

    def __init__(self, directory: Path) -> None:
        """Start the engine: one to five seconds. Raises ``EngineError``."""
        import chdb  # noqa: PLC0415 -- takes a second, and only this process needs it

        self._connect = chdb.connect
        self._directory = directory
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._idle: list[tuple[object, Session]] = []
        self._keeper = self._open("", {})  # the engine ends with its last connection

    @contextmanager
    def session(self, database: str, settings: Mapping[str, str]) -> Iterator[Session]:
        """Yield a session in ``database`` (empty: the default) with ``settings``.

        Raises ``EngineError`` for a setting or database that does not exist.
        """
        key = (database, frozenset(settings.items()))
        session = self._take(key)
        if session is None:
            session = self._open(database, settings)
        try:
            yield session
        except BaseException:
            session.reusable = False
            raise
        finally:
            self._give_back(key, session)

    def cancel(self, tag: str) -> None:
        """Cancel the running statement of the session with this tag. Returns at once; the statement ends with an ``EngineError`` soon."""
        try:
            with self.session("", {}) as session:
                list(session.run(f"KILL QUERY WHERE Settings['log_comment'] = {_quoted(tag)} ASYNC", "TSV", {}))
        except EngineError:  # it has ended meanwhile
            return

    def close(self) -> None:
        """Close all idle sessions and the engine. Call it when no statement runs."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, session in idle:
            session.close()
        self._keeper.close()

    def _take(self, key: object) -> Session | None:
        with self._lock:
            for at in range(len(self._idle) - 1, -1, -1):
                if self._idle[at][0] == key:
                    return self._idle.pop(at)[1]
        return None

    def _give_back(self, key: object, session: Session) -> None:
        dropped: Session | None = session
        if session.reusable:
            with self._lock:
                self._idle.append((key, session))
                dropped = self._idle.pop(0)[1] if len(self._idle) > _IDLE_SESSIONS else None
        if dropped is not None:
            dropped.close()

    def _open(self, database: str, settings: Mapping[str, str]) -> Session:
        tag = f"session-{next(self._numbers)}"
        try:
            connection: Any = self._connect(str(self._directory))  # type: ignore[no-untyped-call]
        except Exception as error:  # noqa: BLE001 -- the engine has no classes of its own for its errors
            raise EngineError(str(error)) from None
        try:
            if database:
                connection.query(f"USE `{database.replace(chr(92), chr(92) * 2).replace('`', chr(92) + '`')}`", "TSV")
            for name in settings:
                if _SETTING.fullmatch(name) is None:
                    raise EngineError(f"Code: {_UNKNOWN_SETTING}. DB::Exception: Unknown setting. (UNKNOWN_SETTING)")
            chosen = {"max_result_bytes": str(_MAX_RESULT), **settings, "log_comment": tag}
            # Read-only last: after it no setting can be changed.
            read_only = {name: chosen.pop(name) for name in ("readonly",) if name in chosen}
            for some in (chosen, read_only):
                if some:
                    connection.query("SET " + ", ".join(f"{name} = {_quoted(value)}" for name, value in some.items()), "TSV")
        except EngineError:
            connection.close()
            raise
        except Exception as error:  # noqa: BLE001 -- the engine has no classes of its own for its errors
            connection.close()
            raise EngineError(str(error)) from None
        return Session(connection, tag, self._directory)


@contextmanager
def _unnamed_file(directory: Path) -> Iterator[int]:
    """Yield the descriptor of a file that is gone with it, also after a kill: it holds rows about people."""
    try:
        file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 - only the opening may fail with this error
    except OSError as error:
        raise _not_kept(error) from None
    with file:
        yield file.fileno()


def _write(file: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        try:
            left = left[os.write(file, left) :]
        except OSError as error:
            raise _not_kept(error) from None


def _not_kept(error: OSError) -> EngineError:
    """The error of ClickHouse for a disk that takes no more: a client tries again."""
    return EngineError(f"The rows could not be kept: {error.strerror}. (NOT_ENOUGH_SPACE)", _NOT_ENOUGH_SPACE)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
