"""The real job on simulated people: the same input gives the same everything, however it was run, stopped, killed, split or batched.

Every job runs in a process of its own, on embedded engines. What it left is compared as a whole: every row of every table, every
recommendation record apart from its time to live, the dead letters and the tally.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support.job_runs import finish, kill_often
from tests.support.job_state import PLACES, State, differences, rows
from tests.support.populations import write_population


@dataclass(frozen=True)
class Reference:
    """An input, and what the job leaves after reading it in one go at default settings."""

    source: Path
    lines: int
    state: State


@dataclass(frozen=True)
class Size:
    users: int
    days: int
    stops: int
    kills: int


SMALL, LARGE = Size(90, 8, 2, 2), Size(2200, 14, 5, 8)


@pytest.fixture(scope="module", params=[pytest.param(SMALL, id="small"), pytest.param(LARGE, id="large", marks=pytest.mark.slow)])
def size(request: pytest.FixtureRequest) -> Size:
    chosen: Size = request.param
    return chosen


@pytest.fixture(scope="module")
def reference(size: Size, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    directory = tmp_path_factory.mktemp("reference")
    source = directory / "events.jsonl"
    lines = write_population(source, size.users, size.days, seed=3)
    return Reference(source, lines, finish(directory / "data", source))


def test_the_input_has_what_could_go_wrong(reference: Reference, size: Size) -> None:
    kinds = [row["kind"] for row in rows(reference.state, "outcomes")]
    least = 500 if size is LARGE else 15
    assert kinds.count("success") >= least
    assert kinds.count("failure") >= least
    tally = dict(line.split(": ", 1) for line in reference.state["summary"])
    assert int(tally["duplicates"]) > 0
    assert {"late", "merged"} & json.loads(tally["ignored"]).keys()
    assert len(reference.state["dead_letter_file"]) == sum(json.loads(tally["deadLetters"]).values()) > 0
    assert any("deleted" in record for record in reference.state["redis"])


@pytest.mark.slow
def test_a_second_run_into_another_directory_gives_the_same(reference: Reference, tmp_path: Path) -> None:
    assert not differences(reference.state, finish(tmp_path / "data", reference.source))


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [7, 10_000])
def test_another_batch_size_gives_the_same(reference: Reference, tmp_path: Path, batch_size: int) -> None:
    found = finish(tmp_path / "data", reference.source, batch_size=batch_size)
    assert not differences(reference.state, found)


def test_stopping_in_order_and_going_on_gives_the_same(reference: Reference, size: Size, tmp_path: Path) -> None:
    """In batches of another size as well."""
    stops: list[int | None] = [*sorted(Random(5).randrange(reference.lines) for _ in range(size.stops))]
    found = finish(tmp_path / "data", reference.source, stops=stops, batch_size=13)
    assert not differences(reference.state, found)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_being_killed_again_and_again_gives_the_same(reference: Reference, size: Size, tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    moments = [*sorted(rng.randrange(reference.lines) for _ in range(size.kills)), reference.lines]  # at the end it delivers the last rows
    often: dict[str, Any] = {"batch_size": 40, "epoch_seconds": 0.3 if size is SMALL else 0.5}
    killed = kill_often(tmp_path / "data", reference.source, moments, rng, **often)
    assert killed >= size.kills // 2
    assert not differences(reference.state, finish(tmp_path / "data", reference.source, **often))


@pytest.mark.slow
def test_two_halves_give_the_same_as_the_whole(reference: Reference, tmp_path: Path) -> None:
    lines = reference.source.read_bytes().splitlines(keepends=True)
    cut = Random(7).randrange(len(lines) // 4, len(lines))
    for name, part in (("first.jsonl", lines[:cut]), ("second.jsonl", lines[cut:])):
        (tmp_path / name).write_bytes(b"".join(part))
    finish(tmp_path / "data", tmp_path / "first.jsonl")
    found = finish(tmp_path / "data", tmp_path / "second.jsonl")
    assert not differences(reference.state, found, without={**PLACES, "events": ("source_offset",)})


@pytest.mark.slow
def test_a_file_that_grows_between_runs_gives_the_same(reference: Reference, tmp_path: Path) -> None:
    content = reference.source.read_bytes()
    growing = tmp_path / reference.source.name
    rng = Random(11)
    for share in (rng.uniform(0.1, 0.5), rng.uniform(0.5, 0.9)):
        growing.write_bytes(content[: content.rfind(b"\n", 0, int(len(content) * share)) + 1])
        finish(tmp_path / "data", growing)
    growing.write_bytes(content)
    assert not differences(reference.state, finish(tmp_path / "data", growing))


@pytest.mark.slow
def test_gzip_gives_the_same(reference: Reference, tmp_path: Path) -> None:
    packed = tmp_path / "events.jsonl.gz"
    packed.write_bytes(gzip.compress(reference.source.read_bytes(), 1))
    found = finish(tmp_path / "data", packed, stops=[reference.lines // 3])
    assert not differences(reference.state, found, without={**PLACES, "events": ()})


@pytest.mark.slow
def test_standard_input_gives_the_same(reference: Reference, tmp_path: Path) -> None:
    found = finish(tmp_path / "data", "-", stdin=reference.source)
    assert not differences(reference.state, found, without={**PLACES, "events": ()})
