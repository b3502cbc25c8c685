"""The embedded ClickHouse as a process: found, shared, killed, restarted, and spoken to as strangers and broken clients would."""

from __future__ import annotations

import base64
import fcntl
import http.client
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import polars as pl
import pytest

from local.clickhouse import EmbeddedClickHouse
from local.clickhouse_files import frozen_tables
from local.data_dir import DataDirInUseError
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.errors import (
    PermanentInsert,
    QueryFailed,
    StoreDamaged,
    StoreDenied,
    StoreError,
    StoreInUse,
    StoreUnreachable,
    TransientInsert,
)
from sinks.clickhouse.inserter import ClickHouseInserter
from sinks.clickhouse.read_only_query import query
from tests.support.waiting import PATIENCE, join, pause, read_line, running, wait_until

ROOT = Path(__file__).parents[2]
TABLE = "CREATE TABLE IF NOT EXISTS numbers_kept (n UInt64, s String) ENGINE = ReplacingMergeTree ORDER BY n"

USER = """
import sys
from pathlib import Path
from local.clickhouse import EmbeddedClickHouse
from local.clickhouse_files import frozen_tables
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.read_only_query import query
store = ClickHouse(embedded=EmbeddedClickHouse(Path(sys.argv[1])), database="default")
for line in sys.stdin:
    print(query(store, line).item(), flush=True)
"""


HANGS = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.pwrite(int(sys.argv[3]), str(os.getpid()).encode(), 0)
time.sleep(600)
"""
"""A process that has the lock and never publishes an address, as one that found the disk full when it opened its files."""


def hung_pid(path: Path) -> int:
    """The process that has written its number; 0 before."""
    written = (path / "server" / "server.lock").read_text() if (path / "server" / "server.lock").exists() else ""
    return int(written or 0)


def server_pid(path: Path) -> int:
    """The process that serves the directory now."""
    return int((path / "server" / "server.lock").read_text())


def is_gone(pid: int) -> bool:
    """Whether a process has ended; what nobody waits for is gone too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def kill(path: Path, number: signal.Signals = signal.SIGKILL) -> int:
    """Signal the process of the directory and wait until it has ended."""
    pid = server_pid(path)
    os.kill(pid, number)
    wait_until(lambda: is_gone(pid), "the end of the server")
    return pid


def user_of(path: Path) -> subprocess.Popen[str]:
    """Another process that answers each statement it is given with its one value."""
    command = [sys.executable, "-c", USER, str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def asked(process: subprocess.Popen[str], sql: str) -> str:
    assert process.stdin is not None
    process.stdin.write(f"{sql}\n")
    process.stdin.flush()
    return read_line(process.stdout, "an answer of another process").strip()


def rows(first: int, count: int) -> pl.DataFrame:
    return pl.DataFrame({"n": range(first, first + count), "s": ["x" * 100] * count}, schema={"n": pl.UInt64, "s": pl.String})


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with a table, whose server the tests of this module share and kill."""
    path = tmp_path_factory.mktemp("engine") / "clickhouse"
    yield path
    with EmbeddedClickHouse(path).stopped():
        pass


@pytest.fixture
def store(path: Path) -> Iterator[ClickHouse]:
    store = ClickHouse(embedded=EmbeddedClickHouse(path), database="default")
    store.client().command(TABLE)
    yield store
    store.close()


class Raw:
    """A client that sends what it likes."""

    def __init__(self, url: str) -> None:
        self.parts = urlsplit(url)
        self.port = int(self.parts.port or 0)
        self.secret = base64.b64encode(f"onramp:{self.parts.password}".encode()).decode()

    def ask(
        self, sql: str, body: bytes | None = None, *, password: str | None = None, given: Mapping[str, str] | None = None
    ) -> tuple[int, str, bytes]:
        """Send one request; return status, exception code and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.parts.port, timeout=PATIENCE)
        secret = self.secret if password is None else base64.b64encode(f"onramp:{password}".encode()).decode()
        try:
            connection.request("POST", f"/?{urlencode({'query': sql, **(given or {})})}", body, {"Authorization": f"Basic {secret}"})
            answer = connection.getresponse()
            return answer.status, answer.getheader("X-ClickHouse-Exception-Code", ""), answer.read()
        finally:
            connection.close()


@pytest.fixture
def raw(store: ClickHouse) -> Raw:
    """A client of the server that ``store`` uses."""
    return Raw(store._url())


class TestLife:
    def test_one_process_serves_everybody_and_only_its_owner_can_read_the_address(self, store: ClickHouse, path: Path) -> None:
        first = server_pid(path)
        with running(user_of(path)) as one, running(user_of(path)) as two:
            assert asked(one, "SELECT 1") == asked(two, "SELECT 1") == "1"
            assert server_pid(path) == first
        assert stat.S_IMODE((path / "server" / "address.json").stat().st_mode) == 0o600
        assert urlsplit(store._url()).hostname == "127.0.0.1"

    def test_two_processes_read_while_another_one_writes(self, store: ClickHouse, path: Path) -> None:
        inserter = ClickHouseInserter(store)
        with running(user_of(path)) as one, running(user_of(path)) as two:
            for turn in range(20):
                inserter.insert("numbers_kept", rows(1_000_000 + turn * 100, 100))
                for reader in (one, two):
                    assert int(asked(reader, "SELECT count() FROM numbers_kept FINAL WHERE n >= 1000000")) == (turn + 1) * 100

    def test_killed_under_inserts_it_is_started_again_and_has_every_acknowledged_row(self, store: ClickHouse, path: Path) -> None:
        acknowledged: list[int] = []
        stopping = threading.Event()

        def write() -> None:
            inserter = ClickHouseInserter(store)
            first = 0
            for _ in range(100_000):
                if stopping.is_set():
                    break
                try:
                    inserter.insert("numbers_kept", rows(first, 1_000))
                except TransientInsert:
                    continue
                acknowledged.append(first)
                first += 1_000
            inserter.close()

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        for _ in range(2):
            before = len(acknowledged)
            wait_until(lambda before=before: len(acknowledged) > before + 5, "inserts")  # type: ignore[misc]
            kill(path)
        before = len(acknowledged)
        wait_until(lambda: len(acknowledged) > before, "inserts after the restart")
        stopping.set()
        join(writer, "the writer")
        found = set(query(store, "SELECT n FROM numbers_kept FINAL WHERE n < 1000000")["n"].to_list())
        assert found == {first + each for first in acknowledged for each in range(1_000)}

    def test_killed_under_a_query_the_query_is_asked_again(self, store: ClickHouse, raw: Raw, path: Path) -> None:
        answers: list[int] = []

        def read() -> None:
            answers.append(query(store, "SELECT sum(sleepEachRow(0.5)) + 7 AS a FROM numbers(4)").item())
            store.release()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        running_now = "SELECT query FROM system.processes WHERE query NOT LIKE '%processes%'"
        wait_until(lambda: b"sleepEachRow" in raw.ask(running_now)[2], "the query")
        kill(path)
        join(reader, "the reader")
        assert answers == [7]

    def test_sigterm_ends_it_in_order_and_its_users_start_another_one(self, store: ClickHouse, path: Path) -> None:
        ClickHouseInserter(store).insert("numbers_kept", rows(5_000_000, 10))
        ended = kill(path, signal.SIGTERM)
        assert query(store, "SELECT count() FROM numbers_kept FINAL WHERE n >= 5000000").item() == 10
        assert server_pid(path) != ended

    def test_a_killed_user_leaves_no_process_behind(self, tmp_path: Path) -> None:
        with running(user_of(tmp_path)) as user:
            assert asked(user, "SELECT 2") == "2"
            pid = server_pid(tmp_path)
            user.kill()
        wait_until(lambda: is_gone(pid), "the end of a server that nobody uses")
        assert not (tmp_path / "server" / "address.json").exists()

    def test_it_ends_when_its_directory_is_removed(self, tmp_path: Path) -> None:
        embedded = EmbeddedClickHouse(tmp_path / "here")
        embedded.url()
        pid = server_pid(tmp_path / "here")
        (tmp_path / "here").rename(tmp_path / "there")
        wait_until(lambda: is_gone(pid), "the end of a server without a directory")
        embedded.close()


class TestInsertsThatFail:
    """What cannot be stored is not acknowledged, whatever the reason, and the store takes rows again afterwards."""

    @pytest.fixture
    def table(self, store: ClickHouse) -> str:
        client = store.client()
        client.command("DROP TABLE IF EXISTS failing SYNC")
        client.command("CREATE TABLE failing (n UInt64, s String, CONSTRAINT short CHECK length(s) < 1000) ENGINE = MergeTree ORDER BY n")
        client.command("SYSTEM STOP MERGES failing")
        return "failing"

    @staticmethod
    def count(store: ClickHouse) -> int:
        found: int = query(store, "SELECT count() FROM failing").item()
        return found

    def test_a_row_that_breaks_a_constraint(self, store: ClickHouse, table: str) -> None:
        bad = pl.DataFrame({"n": [1, 2], "s": ["x", "x" * 1000]}, schema={"n": pl.UInt64, "s": pl.String})
        with pytest.raises(PermanentInsert, match="short"):
            ClickHouseInserter(store).insert(table, bad)
        ClickHouseInserter(store).insert(table, rows(0, 10))
        assert self.count(store) == 10

    def test_too_many_parts(self, store: ClickHouse, table: str) -> None:
        store.client().command("ALTER TABLE failing MODIFY SETTING parts_to_throw_insert = 3, parts_to_delay_insert = 2")
        inserter = ClickHouseInserter(store)
        for turn in range(3):
            inserter.insert(table, rows(turn, 1))
        with pytest.raises(TransientInsert):
            inserter.insert(table, rows(3, 1))
        assert self.count(store) == 3
        store.client().command("ALTER TABLE failing MODIFY SETTING parts_to_throw_insert = 300, parts_to_delay_insert = 200")
        inserter.insert(table, rows(20, 1))
        assert self.count(store) == 4

    def test_a_statement_that_takes_too_long(self, raw: Raw, store: ClickHouse, table: str) -> None:
        data = b"".join(b"%d\tx\n" % number for number in range(200_000))
        given = {"max_execution_time": "0.000001"}
        assert raw.ask(f"INSERT INTO {table} (n, s) FORMAT TSV", data, given=given)[:2] == (500, "159")
        assert self.count(store) == 0

    @pytest.mark.parametrize("most", [0, 20_000])
    def test_a_disk_that_takes_no_more(self, store: ClickHouse, table: str, path: Path, most: int) -> None:
        """A limit of the size of files does to the engine what a full disk does: in the file of the insert, and in the table's."""
        inserter = ClickHouseInserter(store)
        inserter.insert(table, rows(0, 10))
        noise = pl.DataFrame({"n": range(100), "s": [os.urandom(90).hex() for _ in range(100)]}, schema={"n": pl.UInt64, "s": pl.String})
        soft, hard = resource.prlimit(server_pid(path), resource.RLIMIT_FSIZE)
        resource.prlimit(server_pid(path), resource.RLIMIT_FSIZE, (most, hard))
        try:
            with pytest.raises(StoreError):
                inserter.insert(table, noise)
        finally:
            resource.prlimit(server_pid(path), resource.RLIMIT_FSIZE, (soft, hard))
        assert self.count(store) == 10
        inserter.insert(table, noise)
        assert self.count(store) == 110


class TestHeldForABackup:
    def test_a_backup_that_found_the_disk_full_does_not_stand_in_the_way_of_the_next(self, tmp_path: Path) -> None:
        embedded = EmbeddedClickHouse(tmp_path)
        store = ClickHouse(embedded=embedded, database="kept")
        ClickHouse(embedded=embedded, database="default").client().command("CREATE DATABASE kept")
        store.client().command(TABLE)
        ClickHouseInserter(store).insert("numbers_kept", rows(0, 10))
        (tmp_path / "shadow").mkdir()
        (tmp_path / "shadow" / "increment.txt").write_bytes(b"")
        for _ in range(2):
            with frozen_tables(store, tmp_path) as found:
                assert found.rows == {"numbers_kept": 10}
                assert any(name.endswith("data.bin") for name in found.files)
        store.close()
        with embedded.stopped():
            pass


class TestStop:
    def test_nobody_stops_it_while_somebody_uses_it(self, store: ClickHouse, path: Path) -> None:
        with pytest.raises(DataDirInUseError, match="is being read by another command; wait for it"), EmbeddedClickHouse(path).stopped():
            pass
        assert query(store, "SELECT 1 AS a").item() == 1

    def test_one_that_nobody_uses_is_stopped_at_once_and_none_starts_meanwhile(self, path: Path) -> None:
        embedded = EmbeddedClickHouse(path)
        embedded.url()
        pid = server_pid(path)
        embedded.close()
        found: list[str] = []
        with embedded.stopped():
            assert is_gone(pid)
            second = EmbeddedClickHouse(path)
            other = threading.Thread(target=lambda: found.append(second.url()), daemon=True)
            other.start()
            pause(0.5, "the other one would have started it")
            assert found == []
            assert not (path / "server" / "address.json").exists()
        join(other, "the start after the block")
        second.close()
        assert len(found) == 1


class TestStart:
    def test_what_dead_processes_left_is_not_believed(self, tmp_path: Path) -> None:
        """Neither an address, behind which somebody else listens now, nor the number of a process, which somebody else has now."""
        control = tmp_path / "server"
        control.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as stranger:
            (control / "address.json").write_text(f'{{"url": "http://onramp:old@127.0.0.1:{stranger.getsockname()[1]}"}}')
            (control / "server.lock").write_text(str(os.getpid()))
            embedded = EmbeddedClickHouse(tmp_path)
            assert urlsplit(embedded.url()).port != stranger.getsockname()[1]
            embedded.close()
            with embedded.stopped():
                (control / "server.lock").write_text(str(os.getpid()))
            with embedded.stopped():  # sends no signal to this process, which has no lock
                pass

    def test_a_directory_that_another_program_has_open_is_refused_in_one_sentence(self, tmp_path: Path) -> None:
        with (tmp_path / "status").open("w") as status:
            fcntl.flock(status, fcntl.LOCK_EX)
            embedded = EmbeddedClickHouse(tmp_path)
            with pytest.raises(StoreInUse) as raised:
                embedded.url()
            embedded.close()
        assert str(raised.value) == (
            f"The ClickHouse directory {tmp_path} is in use by another process; stop that one or choose another data directory."
        )

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as somebody else")
    def test_a_directory_that_cannot_be_written_is_said(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        directory = Path("/tmp") / f"onramp-read-only-{os.getpid()}"  # pytest's directories are closed to other users
        directory.mkdir(mode=0o755)
        try:
            program = f"import os; import local.clickhouse, polars, sinks.clickhouse.read_only_query; os.setuid(65534)\n{USER}"
            done = subprocess.run(
                [sys.executable, "-c", program, str(directory)],
                input="SELECT 1\n", capture_output=True, text=True, cwd=ROOT, check=False, timeout=PATIENCE,
            )  # fmt: skip
        finally:
            directory.rmdir()
        assert done.stderr.splitlines()[-1] == (
            f"sinks.clickhouse.errors.StoreUnreachable: The embedded ClickHouse cannot run in {directory} (Permission denied): it writes "
            "there even to answer a read; make the directory writable, or copy it to one that is."
        )

    def test_a_store_that_is_damaged_is_said_with_the_place_of_the_reason(self, tmp_path: Path) -> None:
        (tmp_path / "metadata").mkdir()
        (tmp_path / "metadata" / "broken.sql").write_text("nonsense")
        embedded = EmbeddedClickHouse(tmp_path)
        with pytest.raises(
            StoreDamaged, match=r"^The files of the embedded ClickHouse in .* cannot be opened: .*server\.log has the reason"
        ):
            embedded.url()
        assert "broken" in (tmp_path / "server" / "server.log").read_text()
        embedded.close()

    def test_a_process_that_dies_while_it_starts_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("local.clickhouse._PROGRAM", "print('no room'); raise SystemExit(1)")
        embedded = EmbeddedClickHouse(tmp_path)
        with pytest.raises(StoreUnreachable, match=r"^The embedded ClickHouse did not start: no room \(log: .*server\.log\)\.$"):
            embedded.url()
        embedded.close()

    def test_a_user_that_stops_waits_no_longer_for_a_process_that_says_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("local.clickhouse._PROGRAM", HANGS)
        stopping, said = threading.Event(), list[str]()
        embedded = EmbeddedClickHouse(tmp_path, stopping)

        def ask() -> None:
            try:
                embedded.url()
            except StoreUnreachable as error:
                said.append(str(error))

        waits = threading.Thread(target=ask, daemon=True)
        waits.start()
        pid = wait_until(lambda: hung_pid(tmp_path), "the process")
        stopping.set()
        join(waits, "the user")
        embedded.close()
        assert "is not waited for any more" in said[0]
        os.kill(pid, signal.SIGKILL)

    def test_a_process_that_never_publishes_an_address_is_replaced_for_a_job_and_for_nobody_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("local.clickhouse._READY_WAIT", 0.5)
        monkeypatch.setattr("local.clickhouse._HUNG_END_WAIT", 0.2)
        reader = EmbeddedClickHouse(tmp_path)
        job = EmbeddedClickHouse(tmp_path, threading.Event())
        with monkeypatch.context() as hanging:
            hanging.setattr("local.clickhouse._PROGRAM", HANGS)
            reader.start()
            pid = wait_until(lambda: hung_pid(tmp_path), "the process")
            with pytest.raises(StoreUnreachable, match=rf"does not answer within 0.5 seconds: .*\(process {pid}, log"):
                reader.url()
            assert not is_gone(pid), "a command of a moment ends no process that may be about to open"
            with pytest.raises(StoreUnreachable, match=rf"\(process {pid}, which was ended, log"):
                job.url()
            wait_until(lambda: is_gone(pid), "its end")
        assert job._ready_wait == 1.0, "the next one gets twice the time"
        job._ready_wait = PATIENCE
        assert urlsplit(job.url()).hostname == "127.0.0.1"
        for each in (reader, job):
            each.close()
        with job.stopped():
            pass

    def test_a_proxy_of_the_environment_is_not_asked(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        store = ClickHouse(embedded=EmbeddedClickHouse(path), database="default")
        assert query(store, "SELECT 1 AS a").item() == 1
        store.close()


class TestHttp:
    def test_a_wrong_password_is_refused_and_not_printed(self, store: ClickHouse, raw: Raw, path: Path) -> None:
        status, code, body = raw.ask("SELECT 1", password="hunter2")
        assert (status, code) == (401, "516")
        assert b"hunter2" not in body
        right = raw.parts.password
        assert right is not None
        stranger = ClickHouse(url=f"http://127.0.0.1:{raw.port}", user="onramp", password="hunter2", database="default")
        with pytest.raises(StoreDenied, match="user or password is wrong") as raised:
            stranger.client()
        assert right not in str(raised.value) + repr(store) + (path / "server" / "server.log").read_text()
        for body in (b"x" * 2_000_000, b""):  # also where much was sent along
            assert raw.ask("INSERT INTO numbers_kept FORMAT TSV", body, password="")[0] == 401

    def test_a_setting_cannot_bring_in_a_statement(self, store: ClickHouse, raw: Raw) -> None:
        assert raw.ask("SELECT 1", given={"max_threads = 1; DROP TABLE numbers_kept": "1"})[:2] == (500, "115")
        assert raw.ask("SELECT 1", given={"max_threads": "1'; DROP TABLE numbers_kept; --"})[0] == 500
        assert raw.ask("SELECT 1", given={"database": "default`; DROP TABLE numbers_kept; --"})[1] == "81"
        assert query(store, "EXISTS numbers_kept").item() == 1

    def test_a_session_is_the_same_for_everybody_who_comes_later(self, raw: Raw) -> None:
        assert raw.ask("SET max_threads = 3")[0] == 200
        assert raw.ask("SELECT value FROM system.settings WHERE name = 'max_threads'")[2] != b"3\n"
        assert raw.ask("SELECT 1", given={"readonly": "1"})[2] == b"1\n"
        assert raw.ask("DROP TABLE numbers_kept", given={"readonly": "1"})[1] == "164"
        assert raw.ask("SET readonly = 0", given={"readonly": "1"})[1] == "164"

    def test_a_statement_that_is_too_large_is_refused(self, raw: Raw) -> None:
        assert raw.ask("SELECT 1 --", b"x" * (17 * 2**20))[:2] == (413, "307")

    def test_rows_that_break_off_are_not_acknowledged(self, store: ClickHouse, raw: Raw) -> None:
        with socket.create_connection(("127.0.0.1", raw.port), timeout=PATIENCE) as client:
            head = f"POST /?query=INSERT+INTO+numbers_kept+FORMAT+TSV HTTP/1.1\r\nAuthorization: Basic {raw.secret}\r\n"
            client.sendall(head.encode() + b"Content-Length: 1000\r\n\r\n7777777\tx\n")
            client.shutdown(socket.SHUT_WR)
            assert b" 400 " in client.recv(1000).split(b"\r\n")[0]
        assert query(store, "SELECT count() FROM numbers_kept WHERE n = 7777777").item() == 0

    def test_a_large_result_comes_in_pieces_and_one_that_fails_breaks_off(self, raw: Raw) -> None:
        assert raw.ask("SELECT number FROM numbers(1000000)")[2].count(b"\n") == 1_000_000
        with pytest.raises(http.client.IncompleteRead):
            raw.ask("SELECT throwIf(number = 3000000) FROM numbers(10000000)")
        assert raw.ask("SELECT throwIf(1)")[:2] == (500, "395")

    def test_a_read_whose_client_has_gone_is_cancelled(self, raw: Raw) -> None:
        running_now = "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64%' AND query NOT LIKE '%processes%'"
        with socket.create_connection(("127.0.0.1", raw.port), timeout=PATIENCE) as client:
            sql = urlencode({"query": "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number))", "max_threads": "1"})
            client.sendall(f"POST /?{sql} HTTP/1.1\r\nAuthorization: Basic {raw.secret}\r\nContent-Length: 0\r\n\r\n".encode())
            wait_until(lambda: raw.ask(running_now)[2] == b"1\n", "the statement")
        wait_until(lambda: raw.ask(running_now)[2] == b"0\n", "its end")

    def test_strangers_cannot_keep_others_out_for_long(self, raw: Raw) -> None:
        with ExitStack() as stack:
            for _ in range(70):
                stack.enter_context(socket.create_connection(("127.0.0.1", raw.port), timeout=PATIENCE))
            wait_until(lambda: _status(raw) == 200, "a free place, after the quiet ones were closed", every=0.2)

    def test_a_query_of_a_table_that_is_missing_is_one_sentence(self, store: ClickHouse) -> None:
        with pytest.raises(QueryFailed, match="there is no table 'nothing_here'"):
            query(store, "SELECT * FROM nothing_here")


def _status(raw: Raw) -> int:
    try:
        return raw.ask("SELECT 1")[0]
    except (OSError, http.client.HTTPException):
        return 0
