"""Several processes of one job: what their settings, the runner and their data directories must agree on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bytewax.testing import TestingSink, TestingSource

from flows.catalogs import load_catalog
from flows.engines import open_engines
from flows.onboarding import FlowParts, build
from flows.processes import Processes, RunnerError, check_runner, keeps_old_snapshots, runner_options, workers_of
from flows.recovery import BACKUP_INTERVAL, recovery_config
from flows.settings import Settings, SettingsError, load_settings
from flows.stop import StopRequest
from local.data_dir import DataDir, DataDirError
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.ids import Keys
from tests.cli.command import onramp

NEEDED = {
    "ONRAMP_KAFKA_BROKERS": "kafka:9092",
    "ONRAMP_REDIS_URL": "redis://redis:6379/0",
    "ONRAMP_CLICKHOUSE_URL": "http://clickhouse:8123",
    "ONRAMP_SECRET": "a secret for the tests of clusters",
}


def settings(monkeypatch: pytest.MonkeyPatch, **more: str) -> Settings:
    for name, value in {**NEEDED, **more}.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    return load_settings()


@pytest.mark.parametrize(("name", "number"), [("0", 0), ("1", 1), ("onramp-job-2", 2), ("job0-1", 1)])
def test_a_process_is_named_by_its_number_or_its_pod(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    found = settings(monkeypatch, ONRAMP_PROCESS_ADDRESSES="a-0.a:2101, a-1.a:2101,[::1]:2101", ONRAMP_PROCESS=name)
    assert found.processes() == Processes(number, ("a-0.a:2101", "a-1.a:2101", "[::1]:2101"))
    assert found.processes().keeps == (number == 0)
    assert found.processes().arguments() == ["--process-id", str(number), "--addresses", "a-0.a:2101;a-1.a:2101;[::1]:2101"]


def test_without_addresses_a_job_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch).processes()
    assert (found, found.keeps, found.arguments()) == (Processes(0, ()), True, [])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ONRAMP_PROCESS_ADDRESSES": "a:1,b"}, "address 2 is not"),
        ({"ONRAMP_PROCESS_ADDRESSES": "a:1;b:2"}, "address 1 is not"),
        ({"ONRAMP_PROCESS_ADDRESSES": "a:1,b:70000"}, "address 2 is not"),
        ({"ONRAMP_PROCESS_ADDRESSES": "a:0"}, "address 1 is not"),
        ({"ONRAMP_PROCESS_ADDRESSES": "a:1,a:1"}, "twice"),
        ({"ONRAMP_PROCESS_ADDRESSES": "a:1,A:1"}, "twice"),
        ({"ONRAMP_PROCESS_ADDRESSES": "a:1,a:01"}, "address 2 is not"),
        ({"ONRAMP_PROCESS_ADDRESSES": "a:٣"}, "address 1 is not"),
        ({"ONRAMP_PROCESS_ADDRESSES": ",".join(f"a:{port}" for port in range(1, 66))}, "at most 64"),
        ({"ONRAMP_PROCESS_ADDRESSES": "a:1,b:2", "ONRAMP_PROCESS": "2"}, "only the processes 0 to 1"),
        ({"ONRAMP_PROCESS_ADDRESSES": "a:1,b:2", "ONRAMP_PROCESS": "first"}, "a number from 0 on"),
        *(
            ({"ONRAMP_PROCESS_ADDRESSES": "a:1,b:2", "ONRAMP_PROCESS": number}, "a number from 0 on")
            for number in ("-1", "+1", "0.1", "0x1", "1e1", "٣", "job-٣")
        ),
        ({"ONRAMP_PROCESS": "1"}, "ONRAMP_PROCESS_ADDRESSES, which is not set"),
        *(({"ONRAMP_PROCESS_ADDRESSES": "a:1,b:2", name: ""}, f"needs {name} too") for name in NEEDED),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        settings(monkeypatch, **given)


TWO = Processes(1, ("a:1", "b:2"))
STATE = Path("data/state")


@pytest.mark.parametrize(
    ("processes", "arguments", "environment"),
    [
        (Processes(), ["-r", "data/state"], {}),
        (Processes(), ["flows.main:flow()", "-w", "2", "--recovery-directory=data/../data/state/"], {}),
        (Processes(), ["-r", str(Path("data/state").absolute())], {"BYTEWAX_RECOVERY_DIRECTORY": "other"}),
        (Processes(), [], {"BYTEWAX_RECOVERY_DIRECTORY": "data/state"}),
        (TWO, ["flows.main:flow()", *TWO.arguments(), "-r", "data/state"], {}),
        (TWO, ["-i", "1", "-a", "a:1;b:2", "-rdata/state"], {}),
        (TWO, ["-r", "data/state"], {"BYTEWAX_PROCESS_ID": "1", "BYTEWAX_ADDRESSES": "a:1;b:2"}),
    ],
)
def test_a_runner_that_agrees_with_the_settings_may_run(processes: Processes, arguments: list[str], environment: dict[str, str]) -> None:
    check_runner(processes, STATE, runner_options(arguments, environment))


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["flows.main:flow()", "-w", "2"], {}, "started without a recovery store"),
        ([], {"BYTEWAX_RECOVERY_DIRECTORY": ""}, "started without a recovery store"),
        (["-r", "state"], {}, "started with the recovery store state"),
        (["-r", "data"], {"BYTEWAX_RECOVERY_DIRECTORY": "data/state"}, "started with the recovery store data:"),
        ([], {"BYTEWAX_RECOVERY_DIRECTORY": "/other/state"}, "started with the recovery store /other/state"),
    ],
)
def test_a_runner_with_another_recovery_store_or_none_is_refused(arguments: list[str], environment: dict[str, str], said: str) -> None:
    """It would read the log from the beginning, beside the tables of before."""
    for processes in (Processes(), TWO):
        with pytest.raises(RunnerError, match=rf"{said}.* start it with -r data/state "):
            check_runner(processes, STATE, runner_options([*processes.arguments(), *arguments], environment))


@pytest.mark.parametrize(
    ("processes", "arguments", "environment", "said"),
    [
        (Processes(), ["-i", "0", "-a", "a:1;b:2"], {}, "ONRAMP_PROCESS_ADDRESSES is not set"),
        (Processes(), [], {"BYTEWAX_POD_NAME": "a-0", "BYTEWAX_HOSTFILE_PATH": "/etc/hosts"}, "ONRAMP_PROCESS_ADDRESSES is not set"),
        (TWO, [], {}, '--process-id 1 --addresses "a:1;b:2"'),
        (TWO, ["-i", "0", "-a", "a:1;b:2"], {}, "--process-id 1"),
        (TWO, ["-i", "1", "-a", "a:1;c:2"], {}, "--process-id 1"),
    ],
)
def test_a_runner_that_knows_of_other_processes_is_refused(
    processes: Processes, arguments: list[str], environment: dict[str, str], said: str
) -> None:
    with pytest.raises(RunnerError, match=said):
        check_runner(processes, STATE, runner_options([*arguments, "-r", "data/state"], environment))


@pytest.mark.parametrize(
    ("processes", "arguments", "environment", "workers"),
    [
        (Processes(), [], {}, 1),
        (Processes(), ["flows.main:flow()", "-w", "3", "-s", "5"], {}, 3),
        (Processes(), ["-w3"], {"BYTEWAX_WORKERS_PER_PROCESS": "2"}, 3),
        (Processes(), [], {"BYTEWAX_WORKERS_PER_PROCESS": "2"}, 2),
        (Processes(), [], {"BYTEWAX_WORKERS_PER_PROCESS": ""}, 1),
        (TWO, ["-i", "1", "-a", "a:1;b:2"], {}, 2),
        (TWO, ["-i", "1", "-a", "a:1;b:2", "--workers-per-process=2"], {}, 4),
    ],
)
def test_the_workers_of_all_processes_are_counted(
    processes: Processes, arguments: list[str], environment: dict[str, str], workers: int
) -> None:
    assert workers_of(processes, runner_options(arguments, environment)) == workers


@pytest.mark.parametrize(
    ("arguments", "environment", "keeps"),
    [
        (["flows.main:flow()", "-s", "5", "-b", "1000000000000"], {}, True),
        (["-b1000000000000"], {}, True),
        (["--backup-interval=1000000000001"], {}, True),
        (["-b", "999999999999"], {}, False),
        (["-b", "0"], {"BYTEWAX_RECOVERY_BACKUP_INTERVAL": "1000000000000"}, False),
        ([], {"BYTEWAX_RECOVERY_BACKUP_INTERVAL": "1000000000000"}, True),
        ([], {"BYTEWAX_RECOVERY_BACKUP_INTERVAL": ""}, False),
        ([], {}, False),
    ],
)
def test_whether_the_runner_keeps_old_snapshots(arguments: list[str], environment: dict[str, str], keeps: bool) -> None:
    assert keeps_old_snapshots(BACKUP_INTERVAL, runner_options(arguments, environment)) == keeps


def test_only_the_first_process_has_a_recovery_store(tmp_path: Path) -> None:
    first, other = (DataDir.create(tmp_path / name) for name in ("first", "other"))
    for _ in range(2):  # the second time as at a restart
        recovery_config(first, 3)
        recovery_config(other, 3, keeps=False)
    assert len(list(first.state.glob("part-*.sqlite3"))) == 3
    assert list(other.state.iterdir()) == []


def test_a_data_directory_of_another_process_is_refused(tmp_path: Path) -> None:
    """With it the job would begin anew, or a process would have a second store."""
    first, other = (DataDir.create(tmp_path / name) for name in ("first", "other"))
    recovery_config(first, 3)
    recovery_config(other, 3, keeps=False)
    with pytest.raises(DataDirError, match="belongs to another process"):
        recovery_config(other, 3)
    with pytest.raises(DataDirError, match="ONRAMP_PROCESS=0"):
        recovery_config(first, 3, keeps=False)


def test_only_the_first_process_writes_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for process, partitions in (("0", ["0", "1"]), ("1", [])):
        found = settings(
            monkeypatch,
            ONRAMP_PROCESS_ADDRESSES="a:1,b:2",
            ONRAMP_PROCESS=process,
            ONRAMP_SINK_PARTITIONS="2",
            ONRAMP_DATA_DIR=str(tmp_path / process),
        )
        with open_engines(found, "a test") as engines:
            assert engines.delivery.sink.list_parts() == partitions
            assert engines.old_snapshots.idle == (not partitions), "nor has it old snapshots to remove"
            if not partitions:
                engines.clickhouse.start(lambda: pytest.fail("it has nothing to prepare"))
                engines.clickhouse.stop()
                assert engines.clickhouse.error is None


def test_partitions_of_the_sinks_that_have_rows_in_the_spool_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only the sink of a partition knows whether its rows come again."""
    spool = DataDir.create(tmp_path).spool
    for stem in ("2.000000000001abcdef.000000000001", "facts.000000000001abcdef.000000000001"):
        (spool / f"{stem}.pending").write_bytes(b"rows")
    with open_engines(settings(monkeypatch, ONRAMP_DATA_DIR=str(tmp_path)), "a test") as engines:
        assert engines.sink_partitions == 3
        assert engines.delivery.sink.list_parts() == ["0", "1", "2"]


@pytest.mark.parametrize(("processes", "more"), [(1, set()), (2, {"onboarding.share", "onboarding.stop"})])
def test_a_job_of_several_processes_shares_what_is_learned_and_ends_together(processes: int, more: set[str]) -> None:
    sink: Any = TestingSink([])
    parts = FlowParts(
        source=TestingSource([]),
        recommendations=sink,
        facts=sink,
        dead_letters=sink,
        plans=ByTenant(Plan(load_catalog("saas"))),
        keys=Keys(b"a secret for the tests"),
        workers=processes,
        processes=processes,
        stop=StopRequest(),
    )
    steps = {each.step_id for each in build(parts).substeps}
    assert steps & {"onboarding.share", "onboarding.stop"} == more
    with pytest.raises(ValueError, match="at least as many workers"):
        replace(parts, workers=processes - 1)


@pytest.mark.slow
def test_onramp_run_is_one_process(tmp_path: Path) -> None:
    done = onramp("run", cwd=tmp_path, **NEEDED, ONRAMP_CATALOG="saas", ONRAMP_PROCESS_ADDRESSES="a:1,b:2")
    assert done.code == 1
    assert "docs/scaling.md" in done.err
