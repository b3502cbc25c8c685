"""What ``onramp replay`` takes for its range, its input and its catalog, where they are not named, and what it says if that fails."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from local.data_dir import DataDir
from state.catalog.by_tenant import ByTenant
from tests.cli.command import ROOT, onramp
from tests.cli.conftest import Inside

SAAS = ROOT / "catalog" / "saas.yaml"


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """A file of twelve users, one an hour from 2026-01-05T00:00:00Z on."""
    path = tmp_path / "events.jsonl"
    event = {"eventType": "signup", "payload": {"traits": {"persona": "analyst"}}}
    lines = ({**event, "eventId": f"e{hour}", "userId": f"u{hour}", "timestamp": f"2026-01-05T{hour:02}:00:00Z"} for hour in range(12))
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_durations_count_back_from_the_end_of_a_file(tmp_path: Path, events: Path, inside: Inside) -> None:
    data_dir = DataDir.create(tmp_path / "d").path
    options = ("--catalog", SAAS, "--input", events, "--data-dir", data_dir, "--by", "eva")
    found = inside("replay", *options, "--from", "5h", "--to", "2h", "--json", cwd=tmp_path).json
    assert (found["from"], found["to"]) == ("2026-01-05T06:00:00.000Z", "2026-01-05T09:00:00.000Z")
    assert found["recommendations"]["before"] == 3
    nothing = inside("replay", *options, "--from", "2026-02-01T00:00:00Z", cwd=tmp_path)
    assert (nothing.code, nothing.out) == (1, "")
    assert "from 2026-01-05T00:00:00.000Z to 2026-01-05T11:00:00.000Z" in nothing.err


def test_a_pipe_is_refused_because_a_replay_reads_it_more_than_once(tmp_path: Path, inside: Inside) -> None:
    for name in ("-", "/dev/stdin"):
        result = inside("replay", "--catalog", SAAS, "--input", name, cwd=tmp_path)
        assert (result.code, "more than once" in result.err) == (2, True)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory where the job has run on a file with a catalog of its own, ``own.yaml``."""
    cwd = tmp_path_factory.mktemp("shop")
    (cwd / "own.yaml").write_text((ROOT / "examples" / "invoices.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    shutil.copy(ROOT / "examples" / "events.jsonl", cwd)
    result = onramp("run", "--input", "events.jsonl", "--catalog", "own.yaml", cwd=cwd)
    assert result.code == 0, result.err
    return cwd


def test_the_catalog_of_the_job_is_known_from_its_directory(shop: Path, inside: Inside) -> None:
    own = str(shop / "own.yaml")
    tried = inside("replay", "--catalog", "own.yaml", "--from", "7d", "--input", "events.jsonl", "--json", cwd=shop)
    assert (tried.code, tried.json["against"], tried.json["usersTreatedDifferently"]) == (0, own, 0)
    assert tried.json["tenantId"] == "default"
    rebuilt = inside("replay", "--user", "u-17", "--input", "events.jsonl", "--json", cwd=shop)
    assert (rebuilt.code, rebuilt.json["same"]) == (0, True), rebuilt.err
    assert inside("replay", "--into", "again", "--input", "events.jsonl", cwd=shop).code == 0
    assert '"invoices@1"' in (shop / "again" / "decisions.jsonl").read_text()
    assert "name the file that it read with --input" in inside("replay", "--user", "u-17", cwd=shop).err
    assert "ok    catalog: invoices@1" in inside("doctor", cwd=shop).out
    assert "own.yaml has no wording section" in inside("llm", "try", "--user", "u-17", "--llm", "local", cwd=shop).err


def test_another_catalog_than_that_of_the_job_is_refused_with_the_option_that_names_it(
    shop: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = inside("replay", "--catalog", "own.yaml", "--against", "saas", "--input", "events.jsonl", cwd=shop)
    assert (said.code, "invoices, this run uses saas: name the right one with --against" in said.err) == (1, True)
    said = inside("replay", "--user", "u-17", "--catalog", "saas", "--input", "events.jsonl", cwd=shop)
    assert (said.code, "name the right one with --catalog" in said.err) == (1, True)
    monkeypatch.setenv("ONRAMP_CATALOG", "saas")
    said = inside("replay", "--catalog", "own.yaml", "--input", "events.jsonl", cwd=shop)
    assert (said.code, "name the right one with --against" in said.err) == (1, True)


def test_a_catalog_of_the_job_that_is_gone_must_be_named(tmp_path: Path, events: Path, inside: Inside) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(SAAS.read_text(encoding="utf-8").replace("id: saas", "id: own"), encoding="utf-8")
    data_dir = DataDir.create(tmp_path / "data")
    data_dir.bind_catalogs(ByTenant("own"), name=str(tmp_path / "gone.yaml"))
    options = ("--catalog", own, "--input", events, "--data-dir", data_dir.path, "--by", "eva")
    said = inside("replay", *options, cwd=tmp_path)
    assert (said.code, "name the right one with --against" in said.err) == (1, True)
    assert inside("replay", *options, "--against", own, cwd=tmp_path).code == 0
    data_dir.bind_catalogs(ByTenant("own"), name=str(own))
    assert inside("replay", *options, cwd=tmp_path).code == 0
