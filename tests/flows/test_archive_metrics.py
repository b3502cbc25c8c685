"""The metrics of ``onramp archive``: where it is, how far behind, for how long that is safe, what it holds."""

from __future__ import annotations

import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flows.archive import Archiver, RollRules, open_raw_log
from flows.metrics.archive import ArchiveCollector, serving_archive_metrics
from flows.metrics.collector import prometheus_registry, render
from flows.metrics.probes import Measured
from flows.metrics.sampling import Sampler
from flows.metrics.server import MetricsAddressError
from flows.settings import Settings, load_settings
from sources.archive.archive import Archive
from sources.backlog import Backlog
from sources.local_log.log import EventLog, Record
from state.metrics import ARCHIVE_METRICS
from system.wall_clock import wall_clock
from tests.support.raw_logs import START, MemoryLog, row
from tests.support.waiting import wait_until

BIG = RollRules(10**9, 10**9)


def figures(text: bytes) -> dict[str, float]:
    """``name{label}`` → value."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            found[f"{sample.name}{''.join(f'[{value}]' for value in sample.labels.values())}"] = sample.value
    return found


def append(log: Path, number: int) -> None:
    with EventLog(log, partitions=1, retention=None) as writer:
        writer.append([Record(b"u", b'{"n": %d}' % each) for each in range(number)])


def ask(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    append(tmp_path / "log", 7)
    return load_settings(event_log=tmp_path / "log", archive_dir=tmp_path / "archive", archive_metrics_address="127.0.0.1:0")


def test_they_are_served_while_it_archives_and_every_one_has_a_value(settings: Settings, tmp_path: Path) -> None:
    with closing(open_raw_log(settings, lambda: False)) as log:
        archiver = Archiver(Archive(tmp_path / "archive"), log, BIG, stopping=lambda: False)
        archiver.run(once=True)
        append(tmp_path / "log", 3)
        with serving_archive_metrics(settings, archiver) as server:
            url = f"http://127.0.0.1:{server.port}"
            names = {metric.name for metric in ARCHIVE_METRICS}
            wait_until(lambda: ask(f"{url}/ready")[0] == 200, "a measurement of the log")
            found = figures(wait_until(lambda: text if b"archive_bytes" in (text := ask(f"{url}/metrics")[1]) else b"", "a list of files"))
            assert names <= {name.partition("[")[0] for name in found}
            assert ask(f"{url}/health")[0] == 200
    assert found["onramp_archive_position[0]"] == 7
    assert found["onramp_archive_lag_messages[0]"] == 3
    assert 0 < found["onramp_archive_time_to_data_loss_seconds[0]"] <= found["onramp_retention_seconds[0]"] == 7 * 86_400
    assert found["onramp_archive_files"] == 1
    assert found["onramp_archive_bytes"] == next((tmp_path / "archive").glob("day=*/*/*.parquet")).stat().st_size
    assert found["onramp_archive_messages_total"] == 7
    assert {name: value for name, value in found.items() if name.startswith("onramp_archive_errors")} == {
        f"onramp_archive_errors_total[{at}]": 0.0 for at in ("join", "log", "files")
    }


def test_positions_are_known_before_anything_new_is_written(tmp_path: Path) -> None:
    log = MemoryLog({0: [row(each) for each in range(5)], 1: []})
    first, again = (Archiver(Archive(tmp_path), log, BIG, stopping=lambda: False, now=lambda: START) for _ in range(2))
    for archiver in (first, again):
        archiver.run(once=True)
        assert {partition: each.offset for partition, each in archiver.positions.items()} == {0: 5}
    assert first.positions[0].log_time == START + 4_000, "of the newest message"
    assert START - 86_400_000 < again.positions[0].log_time <= START, "of its day"


def test_what_fails_is_counted_and_old_figures_stay(tmp_path: Path) -> None:
    now = wall_clock()
    answers: list[Measured | Exception] = [Measured([Backlog(0, 5, 0, 9, now - 30_000, now, 600.0)], now), OSError("gone")]

    def measure() -> Measured:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    log = Sampler("log", 1, measure)
    files: Sampler[tuple[int, int]] = Sampler("files", 1, lambda: (1 // 0, 0))
    for sampler in (log, log, files):
        sampler.once()
    archiver = Archiver(Archive(tmp_path), MemoryLog({}), BIG, stopping=lambda: False)
    archiver.totals.failed_joins = 2
    found = figures(render(prometheus_registry([ArchiveCollector(archiver, log, files)])))
    assert found["onramp_archive_lag_messages[0]"] == 4
    assert 30 <= found["onramp_archive_lag_seconds[0]"] < 60
    assert 540 < found["onramp_archive_time_to_data_loss_seconds[0]"] <= 570
    assert [found[f"onramp_archive_errors_total[{at}]"] for at in ("join", "log", "files")] == [2, 1, 1]
    assert "onramp_archive_files" not in found


def test_an_address_in_use_is_named_with_its_setting(settings: Settings, tmp_path: Path) -> None:
    archiver = Archiver(Archive(tmp_path), MemoryLog({}), BIG, stopping=lambda: False)
    with serving_archive_metrics(settings, archiver) as server:
        taken = settings.model_copy(update={"archive_metrics_address": f"127.0.0.1:{server.port}"})
        with pytest.raises(MetricsAddressError, match="ONRAMP_ARCHIVE_METRICS_ADDRESS"), serving_archive_metrics(taken, archiver):
            raise AssertionError("it is not served")
