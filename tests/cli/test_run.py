"""Running on a file: the result, going on, stopping, and a directory that somebody else uses."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import environment, onramp, start
from tests.cli.conftest import HOSTILE, Inside, Ready
from tests.support.waiting import pause, running, wait_until


def test_json_is_one_object_with_all_figures(own: Ready) -> None:
    assert own.result.code == 0, own.result.err
    summary = own.result.json
    assert (summary["eventsRead"], summary["users"], summary["finished"]) == (5, 1, True)
    assert sum(summary["deadLetters"].values()) == 1
    assert summary["thisRun"]["eventsRead"] == 5
    assert summary["wallSeconds"] > 0


def test_the_same_command_again_goes_on_where_it_stopped(own: Ready) -> None:
    again = onramp("run", "--input", "events.jsonl", cwd=own.cwd)
    assert again.code == 0, again.err
    assert "this run" in again.out


def test_stopped_in_order_it_says_so_and_how_to_go_on(tmp_path: Path, inside: Inside) -> None:
    assert inside("simulate", "--users", 4000, "--days", 14, "--out", "e.jsonl", cwd=tmp_path).code == 0
    with running(start("run", "--input", "e.jsonl", "--json", cwd=tmp_path)) as job:
        wait_until((tmp_path / ".onramp" / "state").exists, "the job's state", within=500, process=job)
        pause(1.0, "the job gets into its input, which keeps it busy for much longer")
        wait_until(lambda: inside("report", "--json", cwd=tmp_path).code == 0, "a report beside the job, which creates its tables first")
        beside = inside("sql", "SELECT count() AS n FROM events", "--csv", cwd=tmp_path)
        read = inside("recommend", "nobody", "--json", cwd=tmp_path)
        job.send_signal(signal.SIGINT)
        out, err = job.communicate(timeout=500)
    assert job.returncode == 0, err
    assert '"finished": false' in out
    assert err.splitlines()[-1] == "onramp: stopped before the end of the input; run the same command to resume."
    assert beside.code == 0, beside.err
    assert beside.out.split()[0] == "n"
    assert read.json["status"] == "none"


def test_a_hostile_name_cannot_touch_the_screen(own: Ready, inside: Inside) -> None:
    for arguments in (["recommend", HOSTILE], ["explain", HOSTILE], ["sql", "SELECT user_id, payload FROM events_final"]):
        result = inside(*arguments, cwd=own.cwd)
        assert result.code == 0, result.err
        assert not set(result.out) & {"\x1b", "\x07", "\u202e", "\u200d"}
        assert "[bold]red\\u200devil[/bold]" in result.out


def test_a_deleted_person_is_said_to_be_deleted(own: Ready, inside: Inside) -> None:
    assert "was deleted" in inside("recommend", "gone", cwd=own.cwd).out
    assert inside("recommend", "gone", "--json", cwd=own.cwd).json["status"] == "deleted"


def test_without_anything_to_read_it_says_what_to_give(tmp_path: Path, inside: Inside) -> None:
    result = inside("run", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert "--input FILE" in result.err
    assert "ONRAMP_KAFKA_BROKERS" in result.err
    assert not (tmp_path / ".onramp").exists()


def test_a_job_on_kafka_does_not_take_the_sample_for_the_product(tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONRAMP_KAFKA_BROKERS", "127.0.0.1:9")
    result = inside("run", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        "onramp: a job on Kafka needs the catalog of your product: set ONRAMP_CATALOG to its file; to run the sample product, set "
        "ONRAMP_CATALOG=saas.\n"
    )
    job = [sys.executable, "-c", "from flows.main import flow; flow()"]
    settings = {"ONRAMP_KAFKA_BROKERS": "127.0.0.1:9", "BYTEWAX_RECOVERY_DIRECTORY": ".onramp/state"}
    done = subprocess.run(job, cwd=tmp_path, env=environment(**settings), capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, result.err)
    assert not list(tmp_path.iterdir())
