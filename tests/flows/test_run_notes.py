"""What a run says about itself when its counts look well and the result may not be what was meant."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from flows.run_notes import notes_on, nothing_accepted
from local.data_dir import DataDir, DataDirError
from sources.files.kinds import advice, head_of
from sources.files.progress import Progress
from state.catalog.by_tenant import ByTenant
from state.duration import DAY, HOUR
from state.records.dead_letter import DeadLetter, encode_line


def summary(read: int = 1000, rejected: int = 0, completed: int = 50, **ignored: int) -> dict[str, Any]:
    dead_letters = {"bad_timestamp": rejected} if rejected else {}
    return {
        "catalog": "shop@1",
        "eventsRead": 1000,
        "eventsAccepted": read - rejected,
        "deadLetters": dead_letters,
        "stepsCompleted": completed,
        "thisRun": {
            "eventsRead": read,
            "deadLetters": dead_letters,
            "outcomes": {"shown": 95},
            "exposuresIgnored": ignored,
            "valuesUnread": {},
            "traitsNotKept": {},
        },
    }


def test_an_ordinary_run_needs_no_word(tmp_path: Path) -> None:
    assert notes_on(summary(), Progress(done=True, backward=19, furthest_back=DAY), tmp_path / "none") == []


def test_a_file_that_is_hardly_sorted_is_named_with_its_first_line(tmp_path: Path) -> None:
    (note,) = notes_on(summary(), Progress(done=True, backward=21, furthest_back=170 * DAY, first_backward=57), tmp_path / "none")
    assert "21 lines" in note
    assert "170 days" in note
    assert "line 57" in note
    (note,) = notes_on(summary(), Progress(backward=100, furthest_back=9 * HOUR, first_backward=8, backward_from=7), tmp_path / "none")
    assert "(first in line 8, behind line 7)" in note
    (note,) = notes_on(summary(), Progress(backward=100, furthest_back=5 * HOUR, first_backward=1), tmp_path / "none")
    assert "5 hours" in note


def test_a_fast_clock_is_named_with_its_line(tmp_path: Path) -> None:
    (note,) = notes_on(summary(), Progress(done=True, ahead=1, furthest_ahead=313 * DAY, first_ahead=460), tmp_path / "none")
    assert note.startswith("1 line is more than a day ahead of all lines before, by up to 313 days (first in line 460)")
    (note,) = notes_on(summary(), Progress(done=True, ahead=2, furthest_ahead=3 * DAY, first_ahead=1), tmp_path / "none")
    assert note.startswith("2 lines are more than a day ahead")


def test_a_line_that_no_line_follows_blames_no_clock(tmp_path: Path) -> None:
    last = Progress(done=True, ahead=1, not_judged=1, furthest_ahead=40 * DAY, first_ahead=1000)
    (note,) = notes_on(summary(), last, tmp_path / "none")
    assert note == (
        "1 line is more than a day ahead of all lines before, by up to 40 days (first in line 1,000), and no line after it says whether "
        "its clock is right. It did not move time for others."
    )
    (alone,) = notes_on(summary(1), last, tmp_path / "none")
    assert alone == note, "one line that continues a log is no file in disorder"
    both = Progress(done=True, ahead=3, not_judged=1, furthest_ahead=40 * DAY, first_ahead=7)
    (note,) = notes_on(summary(), both, tmp_path / "none")
    assert note.startswith("3 lines are more than a day ahead of all lines before, by up to 40 days (first in line 7), and the lines after")
    assert "the lines after do not agree, or there are none. The clock of a device is wrong; it did not move time for others." in note


def test_where_most_of_a_file_does_not_move_time_no_clock_is_blamed(tmp_path: Path) -> None:
    (note,) = notes_on(summary(), Progress(done=True, ahead=501, furthest_ahead=9 * DAY, first_ahead=1), tmp_path / "none")
    assert note.startswith("501 lines are more than a day ahead of the lines around, by up to 9 days (first in line 1), so")
    assert note.endswith("onramp import FILE... --out sorted.jsonl. Read that into another --data-dir.")
    (note,) = notes_on(summary(), Progress(done=True, backward=500), tmp_path / "none", "my events.jsonl")
    assert "Sort the events by time, also those of several files: onramp import 'my events.jsonl' --out sorted.jsonl." in note
    both = Progress(done=True, ahead=3, furthest_ahead=9 * DAY, first_ahead=1, backward=21, furthest_back=8 * DAY, first_backward=4)
    (note,) = notes_on(summary(), both, tmp_path / "none")
    assert "(first in line 4), and 3 lines are more than a day ahead" in note
    assert "clock" not in note


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"", "is empty"),
        (b" \r\n\n", "is empty"),
        ('{"eventId"'.encode("utf-16"), "iconv -f UTF-16 -t UTF-8 'my events.txt' | onramp run"),
        ('{"eventId"'.encode("utf-16-le"), "iconv -f UTF-16LE"),
        ('{"eventId"'.encode("utf-16-be"), "iconv -f UTF-16BE"),
        ('{"eventId"'.encode("utf-32"), "iconv -f UTF-32"),
        (b'[\n{"eventId": "e1"}]', "a JSON array. Make one object a line of it: jq -c '.[]' 'my events.txt' | onramp run --input -"),
        (b'{\n  "eventId": "e1",\n', "objects over several lines. Make one line of each: jq -c . 'my"),
        (b'{"events": [{"eventId": "e1"}]}', "a list of events. Make one line of each: jq -c '.events[]'"),
        (b"{'eventId': 'e1'}\n", "single quotes"),
        (b"eventId,userId,timestamp\n1,2,3\n", "a table (CSV). Make events of its rows: onramp import 'my events.txt' --mapping YAML"),
        (b"eventId\tuserId\ttimestamp\n", "a table (CSV)"),
        (b"\xef\xbb\xbfeventId;userId;timestamp\n", "a table (CSV)"),
        (b"\x28\xb5\x2f\xfd\0\0", "zstd -dc 'my events.txt' | onramp"),
        (gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "gzip data inside gzip data"),
        (gzip.compress(b'[{"eventId": "e1"}]', mtime=0), "a JSON array"),
        (b"PK\x03\x04", "unzip -p"),
        (b"PK\x03\x04" + bytes(26) + b"xl/workbook.xml", "onramp import FILE.csv --mapping YAML"),
        (b"PAR1", "a Parquet file. Make events of its rows: onramp import 'my events.txt' --mapping YAML"),
        (b"\0" * 257 + b"ustar", "tar -xOf"),
        (b"<xml>", "XML or HTML"),
    ],
)
def test_an_input_that_is_something_else_is_called_by_its_name(tmp_path: Path, head: bytes, says: str) -> None:
    read = Progress(done=True, head=head_of(head), from_start=True)
    note = notes_on(summary(7, 7), read, tmp_path / "none", "my events.txt")[0]
    assert note.startswith("No event was accepted. The input ")
    assert says in note


@pytest.mark.parametrize("head", [b'{"eventId": 7}\n', b"hello\n", b"{broken}\n", b'{"eventId": "e", "payload": [{}]}\n', b"null\n"])
def test_what_may_be_json_lines_gets_no_hint(head: bytes) -> None:
    assert advice("events.jsonl", head) == ""


def test_a_run_without_an_event_has_failed_and_one_that_goes_on_has_not() -> None:
    assert nothing_accepted(summary(7, 7), Progress(done=True, from_start=True))
    assert not nothing_accepted(summary(7, 6), Progress(done=True, from_start=True))
    assert not nothing_accepted(summary(1, 1), Progress(done=True))  # it has grown by a bad line
    assert not nothing_accepted(summary(0), Progress(done=True))  # it was read before
    assert nothing_accepted({**summary(0), "eventsRead": 0}, Progress(done=True, from_start=True))
    assert not nothing_accepted(summary(7, 7), Progress(from_start=True))  # it was stopped
    assert not nothing_accepted(summary(7, 7), None)


def test_nothing_but_rejects_shows_the_first_of_them(tmp_path: Path) -> None:
    letters = tmp_path / "dead_letters.jsonl"
    letters.write_bytes(encode_line(DeadLetter("bad_timestamp", "timestamp 'x' is not a time", b"{}", "f.jsonl", 0, 1, 0)))
    (note,) = notes_on(summary(1000, 1000), Progress(done=True), letters)
    assert note.startswith("Every message was rejected. The first, line 1 of f.jsonl: timestamp 'x' is not a time;")
    assert str(letters) in note
    (note,) = notes_on(summary(1000, 1000), None, letters)
    assert "The first, offset 1 of f.jsonl: timestamp" in note


def test_a_file_that_was_read_before_says_so(tmp_path: Path) -> None:
    (note,) = notes_on(summary(0), Progress(done=True), tmp_path / "none")
    assert "already read" in note
    assert notes_on(summary(0), None, tmp_path / "none") == []


def test_a_catalog_that_nothing_matches_is_doubted(tmp_path: Path) -> None:
    (note,) = notes_on(summary(completed=0), Progress(done=True), tmp_path / "none")
    assert "shop@1" in note
    assert notes_on(summary(99, completed=0), Progress(done=True), tmp_path / "none") == []


def test_an_app_that_echoes_wrong_ids_is_named_with_what_to_check(tmp_path: Path) -> None:
    wrong, missing = notes_on(summary(unknown_recommendation=1200, no_current_recommendation=1), None, tmp_path / "none")
    assert wrong.startswith("1,200 exposure events were ignored: they carry a recommendationId that was not issued to that user")
    assert "Check that the app sends back the recommendationId it read" in wrong
    assert missing.startswith("1 exposure event was ignored: it carries no recommendationId")


def test_a_few_late_exposures_are_normal(tmp_path: Path) -> None:
    assert notes_on(summary(unknown_recommendation=5), None, tmp_path / "none") == []
    assert len(notes_on(summary(unknown_recommendation=6), None, tmp_path / "none")) == 1


def test_values_that_were_left_out_are_counted_by_field(tmp_path: Path) -> None:
    run = summary()
    run["thisRun"]["valuesUnread"] = {"firstName": 3, "timezone": 1200}
    (note,) = notes_on(run, None, tmp_path / "none")
    assert note.startswith("Values that cannot be read were ignored: firstName 3, timezone 1,200.")


def test_traits_that_the_catalog_does_not_keep_are_counted_by_name(tmp_path: Path) -> None:
    run = summary()
    run["thisRun"]["traitsNotKept"] = {"age": 3, "plan": 1200}
    (note,) = notes_on(run, None, tmp_path / "none")
    assert note.startswith("Traits that the catalog does not keep were left out: age 3, plan 1,200.")
    assert "`traits` of the catalog" in note


def test_a_directory_belongs_to_the_first_catalog_that_used_it(tmp_path: Path) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    data_dir.write_run({"clock": 1})
    data_dir.check_catalogs(ByTenant("saas"))
    assert data_dir.read_run() == {"clock": 1}  # a look binds nothing
    data_dir.bind_catalogs(ByTenant("shop"))
    data_dir.bind_catalogs(ByTenant("shop"))
    assert data_dir.read_run() == {"clock": 1, "catalog": "shop"}
    with pytest.raises(DataDirError, match="belongs to the catalog shop, this run uses saas"):
        data_dir.bind_catalogs(ByTenant("saas"))
    with pytest.raises(DataDirError, match="belongs to the catalog shop"):
        data_dir.check_catalogs(ByTenant("saas"))


def test_a_directory_belongs_to_the_first_input_that_it_was_written_from(tmp_path: Path) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    data_dir.bind_input("files")
    data_dir.bind_input("files")
    assert data_dir.read_run() == {"input": "files"}
    with pytest.raises(DataDirError, match="holds runs on files; a live job needs a directory of its own"):
        data_dir.check_input("the topic events")
    other = DataDir.create(tmp_path / "other")
    other.bind_input("the topic events")
    with pytest.raises(DataDirError, match="was written from the topic events, this run reads files: choose another directory"):
        other.check_input("files")
