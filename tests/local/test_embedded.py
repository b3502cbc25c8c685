"""The data directory and the engines in it, with real processes that hold it, read it and get killed."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from bytewax.recovery import RecoveryConfig
from redis import Redis
from redis.exceptions import AuthenticationError

from flows.recovery import recovery_config
from local.child_process import start_bound_process
from local.data_dir import DataDir, DataDirError
from local.redis_access import redis_for_job, redis_for_reader
from local.secret import DEVELOPMENT_SECRET, secret_for, secret_of_job
from local.valkey import EmbeddedValkey, EmbeddedValkeyError, is_alive, published_url
from sinks.redis.client import connect
from sinks.redis.reader import RecommendationReader
from sinks.redis.writer import RecommendationWriter, WritePolicy
from system.file_lock import FileLock
from tests.sinks.recommendation_samples import publish
from tests.support.waiting import PATIENCE, join, read_line, read_to_end, running

ROOT = Path(__file__).parents[2]

HOLDER = """
import sys
from pathlib import Path
from local.data_dir import DataDir
from local.redis_access import redis_for_job
data_dir = DataDir.create(Path(sys.argv[1]))
with data_dir.lock("onramp run"):
    if sys.argv[2] == "valkey":
        with redis_for_job(None, data_dir):
            print("ready", flush=True)
            sys.stdin.read()
    else:
        print("ready", flush=True)
        sys.stdin.read()
"""

PARENT = """
import sys
from local.child_process import start_bound_process
start_bound_process(["/bin/sh", "-c", "echo up; exec sleep 600"], output=sys.stdout.fileno()).wait()
"""

READER = """
import sys
from pathlib import Path
from local.data_dir import DataDir
from local.redis_access import redis_for_reader
from sinks.redis.reader import RecommendationReader
with redis_for_reader(None, DataDir.open(Path(sys.argv[1]))) as url:
    print(RecommendationReader(url).read("acme", "ada").version)
"""


def start_holder(path: Path, engine: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(path), engine]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


@contextmanager
def job(path: Path, engine: str = "none") -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the directory, and with ``valkey`` runs the server in it; it ends in order unless it was killed."""
    with running(start_holder(path, engine)) as process:
        assert read_line(process.stdout, "the holder of the directory") == "ready\n"
        yield process
        if process.stdin is not None and process.poll() is None:
            process.stdin.close()
            process.wait(PATIENCE)


def read_elsewhere(path: Path) -> str:
    """What a second process reads about Ada."""
    command = [sys.executable, "-c", READER, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE).stdout.strip()


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    return DataDir.create(tmp_path / "data")


class TestLayout:
    def test_it_is_made_once_and_only_its_owner_may_look(self, tmp_path: Path) -> None:
        path = tmp_path / "deep" / "data"
        for data_dir in (DataDir.create(path), DataDir.create(path), DataDir.open(path)):
            assert data_dir.clickhouse.is_dir()
            assert data_dir.spool.is_dir()
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert (path / ".gitignore").read_text() == "*\n"

    def test_reading_where_nothing_is_says_so_and_makes_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(DataDirError, match=r"no data in .* yet; run `onramp demo`"):
            DataDir.open(tmp_path / "none")
        assert list(tmp_path.iterdir()) == []

    def test_a_directory_with_other_files_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(DataDirError, match=r"contains other files \(thesis\.tex\)"):
            DataDir.create(tmp_path)
        assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]

    def test_a_file_is_not_a_directory(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for use in (DataDir.create, DataDir.open):
            with pytest.raises(DataDirError):
                use(tmp_path / "file")

    @pytest.mark.parametrize(("mark", "shown"), [("onramp-data 99", "99"), ("something else", "else"), ("", r"\(none\)")])
    def test_another_format_is_refused(self, data_dir: DataDir, mark: str, shown: str) -> None:
        (data_dir.path / "FORMAT").write_text(mark)
        with pytest.raises(DataDirError, match=f"has the format {shown}, this version of onramp reads 1: .*--data-dir"):
            DataDir.create(data_dir.path)

    def test_what_the_job_remembers_comes_back(self, data_dir: DataDir) -> None:
        assert data_dir.read_run() == {}
        data_dir.write_run({"inputs": {"events.jsonl": 12}})
        assert DataDir.open(data_dir.path).read_run() == {"inputs": {"events.jsonl": 12}}

    @pytest.mark.parametrize("content", ["{", "[]"])
    def test_a_damaged_memory_is_reported(self, data_dir: DataDir, content: str) -> None:
        (data_dir.path / "run.json").write_text(content)
        with pytest.raises(DataDirError, match="is damaged"):
            data_dir.read_run()

    def test_the_recovery_store_is_made_once_and_whole(self, data_dir: DataDir) -> None:
        (data_dir.path / ".state.tmp").mkdir()  # left by a crash
        (data_dir.path / ".state.tmp" / "part-0.sqlite3").touch()
        assert isinstance(recovery_config(data_dir, 3), RecoveryConfig)
        recovery_config(data_dir, 7)
        assert len(list(data_dir.state.glob("*.sqlite3"))) == 3
        assert not (data_dir.path / ".state.tmp").exists()


class TestLock:
    def test_a_second_writer_is_refused_and_told_who_it_is(self, data_dir: DataDir) -> None:
        with job(data_dir.path) as holder:
            assert data_dir.is_running()
            with pytest.raises(DataDirError, match=rf"in use by process {holder.pid} \(onramp run\); wait for it"), data_dir.lock("test"):
                pass

    def test_a_killed_holder_leaves_no_lock(self, data_dir: DataDir) -> None:
        with job(data_dir.path) as holder:
            holder.kill()
        assert not data_dir.is_running()
        with data_dir.lock("test"):
            assert data_dir.is_running()
        assert not data_dir.is_running()

    def test_it_holds_within_one_process_too(self, data_dir: DataDir) -> None:
        with data_dir.lock("one"), pytest.raises(DataDirError, match=str(os.getpid())), DataDir.open(data_dir.path).lock("two"):
            pass


class TestSecret:
    def test_embedded_runs_share_the_development_key(self, data_dir: DataDir, tmp_path: Path) -> None:
        other = DataDir.create(tmp_path / "other")
        assert secret_for(data_dir, given=None, embedded=True) == DEVELOPMENT_SECRET == secret_for(other, given=None, embedded=True)

    def test_with_real_services_one_is_made_and_kept(self, data_dir: DataDir, caplog: pytest.LogCaptureFixture) -> None:
        secret = secret_for(data_dir, given=None, embedded=False)
        assert secret == secret_for(data_dir, given=None, embedded=False) != DEVELOPMENT_SECRET
        assert stat.S_IMODE(data_dir.secret_key.stat().st_mode) == 0o600
        assert "generated one" in caplog.text
        assert secret.decode() not in caplog.text

    def test_a_set_one_wins(self, data_dir: DataDir) -> None:
        assert secret_for(data_dir, given="sixteen letters!", embedded=True) == b"sixteen letters!"

    def test_another_one_than_the_directory_was_made_with_is_refused(self, data_dir: DataDir) -> None:
        secret_for(data_dir, given=None, embedded=True)
        with pytest.raises(DataDirError, match="ONRAMP_SECRET"):
            secret_for(data_dir, given="sixteen letters!", embedded=True)

    @pytest.mark.parametrize(
        ("first", "given", "embedded", "said"),
        [
            ("the one of the job", "another one of somebody", False, "this ONRAMP_SECRET is not it"),
            ("the one of the job", None, True, "ONRAMP_SECRET is not set here"),
            (None, "another one of somebody", True, "this ONRAMP_SECRET is not it"),
        ],
    )
    def test_a_process_beside_the_job_is_refused_with_another_one(
        self, data_dir: DataDir, first: str | None, given: str | None, embedded: bool, said: str
    ) -> None:
        """Its hashes in receipts and in the audit log would be nobody's."""
        right = secret_for(data_dir, given=first, embedded=True)
        with pytest.raises(DataDirError, match=rf"created with another secret, and {said}"):
            secret_of_job(data_dir, given=given, embedded=embedded)
        assert secret_of_job(data_dir, given=first, embedded=True) == right

    def test_a_process_on_a_machine_without_the_directory_is_believed(self, tmp_path: Path) -> None:
        assert secret_of_job(DataDir(tmp_path / "none"), given="sixteen letters!", embedded=False) == b"sixteen letters!"


class TestValkey:
    def test_while_a_job_runs_a_second_process_reads(self, data_dir: DataDir) -> None:
        with data_dir.lock("onramp run"), redis_for_job(None, data_dir) as url:
            RecommendationWriter(url, WritePolicy()).write([publish("acme", "ada", 3)])
            assert read_elsewhere(data_dir.path) == "3"
            assert is_alive(url)
        assert published_url(data_dir.valkey) is None
        assert not is_alive(url)

    def test_when_no_job_runs_a_reader_brings_its_own_server(self, data_dir: DataDir) -> None:
        with data_dir.lock("onramp run"), redis_for_job(None, data_dir) as url:
            RecommendationWriter(url, WritePolicy()).write([publish("acme", "ada", 4)])
        assert read_elsewhere(data_dir.path) == "4"
        assert not data_dir.is_running()

    def test_a_killed_job_takes_its_server_along_and_loses_nothing(self, data_dir: DataDir) -> None:
        with job(data_dir.path, "valkey") as holder:
            url = published_url(data_dir.valkey)
            assert url is not None
            RecommendationWriter(url, WritePolicy()).write([publish("acme", "ada", 5)])
            holder.kill()
        with data_dir.lock("onramp run"), redis_for_job(None, data_dir) as new_url:
            assert not is_alive(url)
            with closing(RecommendationReader(new_url)) as reader:
                record = reader.read("acme", "ada")
            assert record is not None
            assert record.version == 5

    def test_a_server_that_outlives_its_job_is_not_joined_by_a_second_one(self, data_dir: DataDir) -> None:
        """As happens where the system does not kill it: the lock is the server's own, and the next job stops it first."""
        orphan = EmbeddedValkey(data_dir.valkey)
        orphan.start(publish=True)
        url, lock = orphan.url, FileLock(data_dir.valkey / "server.lock")
        orphan._lock.release()  # all that dying does
        assert lock.is_held()
        with data_dir.lock("onramp run"), redis_for_job(None, data_dir) as new_url:
            assert not is_alive(url)
            assert is_alive(new_url)
        orphan.stop()
        assert not lock.is_held()

    def test_a_job_waits_for_the_server_of_a_reader(self, data_dir: DataDir) -> None:
        """Two servers on one set of files would destroy them."""
        with redis_for_reader(None, data_dir) as reading:
            blocked = start_holder(data_dir.path, "valkey")
            assert is_alive(reading)
            assert published_url(data_dir.valkey) is None
        with running(blocked):
            assert read_line(blocked.stdout, "the job that waited for the reader's server") == "ready\n"
            assert blocked.stdin is not None
            blocked.stdin.close()
            assert blocked.wait(PATIENCE) == 0

    def test_real_services_are_used_as_they_are(self, data_dir: DataDir) -> None:
        for use in (redis_for_job, redis_for_reader):
            with use("redis://elsewhere:6379/0", data_dir) as url:
                assert url == "redis://elsewhere:6379/0"
        assert list(data_dir.valkey.iterdir()) == []

    @pytest.mark.parametrize("name", ["with space", "qu'o\"te", "ünïcode 🦊", "100%25?#@:", "d" * 120])
    def test_any_path_will_do(self, tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
        """Beyond the length that a Unix socket may have, the loopback port serves."""
        data_dir = DataDir.create(tmp_path_factory.mktemp("p") / name)  # the test's own directory is named after it: too long already
        with data_dir.lock("onramp run"), redis_for_job(None, data_dir) as url:
            RecommendationWriter(url, WritePolicy()).write([publish("acme", "ada", 1)])
            assert url.startswith("redis://" if len(name) > 100 else "unix://")

    def test_a_relative_path_is_found_from_elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        data_dir = DataDir.create(Path("data"))
        with data_dir.lock("onramp run"), redis_for_job(None, data_dir) as url:
            monkeypatch.chdir("/")
            assert is_alive(url)

    def test_strangers_on_the_machine_cannot_read(self, data_dir: DataDir) -> None:
        with data_dir.lock("onramp run"), redis_for_job(None, data_dir) as url:
            with Redis.from_url(url) as client:
                port = client.config_get("port")["port"]
                assert client.config_get("bind")["bind"] == "127.0.0.1"
            stranger = connect(f"redis://127.0.0.1:{port}/0")
            with pytest.raises(AuthenticationError):
                stranger.get("anything")
            stranger.close()
            for name in ("address.json", "valkey.conf"):
                assert stat.S_IMODE((data_dir.valkey / name).stat().st_mode) == 0o600

    def test_a_published_address_of_a_dead_server_is_not_believed(self, data_dir: DataDir) -> None:
        (data_dir.valkey / "address.json").write_text(json.dumps({"url": "redis://127.0.0.1:1/0"}))
        with redis_for_reader(None, data_dir) as url:
            assert is_alive(url)

    def test_a_port_that_is_taken_meanwhile_is_no_problem(self, data_dir: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports = [free.getsockname()[1], taken.getsockname()[1]]
            free.close()
            monkeypatch.setattr("local.valkey._free_port", ports.pop)
            with redis_for_reader(None, data_dir) as url:
                assert is_alive(url)
        assert ports == []

    def test_files_that_valkey_cannot_read_are_reported_in_a_sentence(self, data_dir: DataDir) -> None:
        append_only = data_dir.valkey / "appendonlydir"
        append_only.mkdir()
        (append_only / "appendonly.aof.manifest").write_text("nonsense\n")
        with pytest.raises(EmbeddedValkeyError, match=r"did not start: .*valkey\.log"), redis_for_reader(None, data_dir):
            pass
        server = EmbeddedValkey(data_dir.valkey)
        (append_only / "appendonly.aof.manifest").unlink()
        server.start(publish=False)  # the failed one let go of the lock
        server.stop()
        server.stop()


class TestChildProcess:
    def test_it_must_be_started_from_the_main_thread(self) -> None:
        errors: list[Exception] = []

        def start() -> None:
            try:
                start_bound_process(["/bin/true"])
            except RuntimeError as error:
                errors.append(error)

        thread = threading.Thread(target=start, daemon=True)
        thread.start()
        join(thread, "the refusal")
        assert "main thread" in str(errors[0])

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
    def test_it_dies_with_its_killed_parent(self) -> None:
        parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        with running(parent):
            assert read_line(parent.stdout, "the child's word") == "up\n"
            parent.kill()
            assert read_to_end(parent.stdout, "the pipe to close, which it does when the last process that has it is gone") == ""
