"""The file source: kinds of files, how inputs are recognised, what an interrupted, grown, changed or damaged file does."""

from __future__ import annotations

import gzip
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from sources.batching import BatchPolicy
from sources.files.blocks import BLOCK_BYTES
from sources.files.lines import MAX_LINE_BYTES
from sources.files.source import MIN_TIME, JsonlSource
from sources.files.switch_file import append_switch, read_switches
from state.decode import decode
from state.messages import Message, Tick
from state.records.dead_letter import DeadLetter, decode_line, encode_line
from tests.sources.harness import LOOKAHEAD, NOW, Consumer, drain, file_part, line, peek, read_file
from tests.support.waiting import PATIENCE, join

START = 1_700_000_000_000


def numbered(first: int, count: int) -> bytes:
    return b"".join(line(START + n, n=n) + b"\n" for n in range(first, first + count))


def values(messages: list[Message]) -> list[bytes]:
    return [message.value for message in messages]


def refused(path: Path, snapshot: Any) -> str:
    """Why ``path`` is refused; nothing was read and the snapshot is as it was."""
    source, part = file_part(path, snapshot, Consumer())
    assert drain(part, lambda _: pytest.fail("something was read"))
    assert part.snapshot() == snapshot
    assert source.progress.error is not None
    assert not source.progress.done
    return str(source.progress.error)


def test_lines_are_numbered_for_people_and_blank_ones_count(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(b"\xef\xbb\xbfa\r\n\n  \t\r\nb\n\r\nc")
    messages, _ = read_file(path)
    assert [(message.offset, message.value) for message in messages] == [(1, b"a"), (4, b"b"), (6, b"c")]
    assert {(message.topic, message.partition, message.key) for message in messages} == {("e.jsonl", 0, None)}


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n", b" \r\n"])
def test_nothing_is_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(content)
    messages, snapshot = read_file(path)
    assert messages == []
    assert read_file(path, snapshot)[0] == []


def test_gzip_is_known_by_its_content_and_may_have_several_members(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain.jsonl", tmp_path / "packed.dat"
    plain.write_bytes(numbered(0, 20_000))
    packed.write_bytes(gzip.compress(numbered(0, 9_000)) + gzip.compress(numbered(9_000, 11_000)) + b"\0" * 512)
    assert values(read_file(packed)[0]) == values(read_file(plain)[0])


@pytest.mark.parametrize("cut", [20, 5_000, -1])
def test_a_cut_gzip_gives_all_it_has_then_says_so_and_a_whole_one_goes_on(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "e.jsonl.gz"
    whole = gzip.compress(numbered(0, 5_000))
    path.write_bytes(whole[:cut])
    consumer = Consumer()
    source, part = file_part(path, None, consumer)
    assert drain(part, consumer.take)
    assert "cut off in the middle of its gzip data" in str(source.progress.error)
    assert not source.progress.done
    assert values(consumer.messages) == numbered(0, 5_000).split(b"\n")[: len(consumer.messages)]
    path.write_bytes(whole)
    rest, _ = read_file(path, part.snapshot())
    assert values(consumer.messages + rest) == numbered(0, 5_000).split(b"\n")[:-1]


def test_a_damaged_gzip_gives_what_stands_before_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl.gz"
    whole = bytearray(gzip.compress(numbered(0, 50_000)))
    middle = len(whole) // 2
    whole[middle : middle + 64] = b"\xff" * 64
    path.write_bytes(whole)
    consumer = Consumer()
    source, part = file_part(path, None, consumer)
    assert drain(part, consumer.take)
    assert "is damaged" in str(source.progress.error)
    sound = 15_000  # gzip notices damage late: after these come some garbled lines, for the decoder to reject
    assert values(consumer.messages)[:sound] == numbered(0, sound).split(b"\n")[:-1]


def test_a_line_that_is_too_long_is_cut_and_the_rest_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    long = [b"x" * (MAX_LINE_BYTES + 3 * BLOCK_BYTES), b"y" * (MAX_LINE_BYTES + 1), b"z" * (MAX_LINE_BYTES * 2)]
    path.write_bytes(b"\n".join([b"a", long[0], b"b", long[1], b"c", long[2]]))
    messages, snapshot = read_file(path)
    assert [(m.offset, m.value[:1], len(m.value)) for m in messages] == [
        (1, b"a", 1),
        (2, b"x", MAX_LINE_BYTES),
        (3, b"b", 1),
        (4, b"y", MAX_LINE_BYTES),
        (5, b"c", 1),
        (6, b"z", MAX_LINE_BYTES),
    ]
    assert read_file(path, snapshot)[0] == []


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_last_line_without_newline_is_read_and_its_newline_later_adds_nothing(tmp_path: Path, ending: bytes) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(b"a\nb")
    messages, snapshot = read_file(path)
    assert values(messages) == [b"a", b"b"]
    assert read_file(path, snapshot)[0] == []
    path.write_bytes(b"a\nb" + ending + b"c")
    messages, snapshot = read_file(path, snapshot)
    assert [(message.offset, message.value, message.seq) for message in messages] == [(3, b"c", 6)]


def test_a_last_line_that_goes_on_later_is_read_again_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(b'a\n{"half":')
    messages, snapshot = read_file(path)
    assert values(messages) == [b"a", b'{"half":']
    path.write_bytes(b'a\n{"half": 2}\nc\n')
    messages, snapshot = read_file(path, snapshot)
    assert [(message.offset, message.value) for message in messages] == [(2, b'{"half": 2}'), (3, b"c")]
    assert read_file(path, snapshot)[0] == []


def test_a_grown_file_goes_on_and_what_is_new_is_judged_by_the_clock_of_its_first_sight(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(numbered(0, 10))
    consumer = Consumer()
    _, part = file_part(path, None, consumer, batch_size=5)
    drain(part, consumer.take, batches=1)
    path.write_bytes(numbered(0, 15))
    messages, snapshot = read_file(path, part.snapshot(), now=lambda: NOW + 5)
    assert values(consumer.messages + messages) == numbered(0, 15).split(b"\n")[:-1]
    assert [message.reference for message in messages] == [NOW] * 5 + [NOW + 5] * 5
    assert read_file(path, snapshot)[0] == []


@pytest.mark.parametrize("content", [b"other\n" + numbered(1, 10), numbered(0, 1)])
def test_a_changed_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(numbered(0, 10))
    _, snapshot = read_file(path)
    path.write_bytes(content)
    assert "To read it as a new input, give it another name" in refused(path, snapshot)


def test_a_file_that_shrank_below_its_position_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(numbered(0, 10_000))
    _, snapshot = read_file(path)
    path.write_bytes(numbered(0, 9_000))
    assert "is shorter than" in refused(path, snapshot)


def test_another_name_is_another_input_and_time_goes_on(tmp_path: Path) -> None:
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    first.write_bytes(numbered(0, 3))
    second.write_bytes(numbered(0, 3))
    one, snapshot = read_file(first)
    two, snapshot = read_file(second, snapshot)
    assert [message.seq for message in one + two] == [2, 4, 6, 8, 10, 12]
    assert {message.log_time for message in two} == {one[-1].log_time}
    first.write_bytes(numbered(0, 4))
    assert [message.offset for message in read_file(first, snapshot)[0]] == [4]


def test_a_file_may_move_to_another_directory(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    (old / "e.jsonl").write_bytes(numbered(0, 3))
    _, snapshot = read_file(old / "e.jsonl")
    old.rename(new)
    assert read_file(new / "e.jsonl", snapshot)[0] == []


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    fresh = file_part(tmp_path, None, Consumer())[1].snapshot()
    assert "cannot be read: No such file" in refused(tmp_path / "none.jsonl", fresh)
    assert "is a directory" in refused(tmp_path, fresh)
    assert "has version 99, this release reads" in refused(tmp_path, {"version": 99})


def test_a_pipe_is_read_as_it_comes_is_never_waited_for_and_never_resumes(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    snapshot, seen = None, []
    for turn in range(2):
        hold, gate = threading.Event(), threading.Event()

        def write(hold: threading.Event = hold, gate: threading.Event = gate) -> None:
            with path.open("wb", buffering=0) as pipe:
                pipe.write(b"a\nb")
                hold.wait(PATIENCE)
                pipe.write(b"c\n")
                gate.wait(PATIENCE)

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        consumer = Consumer()
        source, part = file_part(path, snapshot, consumer)
        drain(part, consumer.take, batches=1)
        assert values(consumer.messages) == [b"a"]
        assert part.next_batch() == []
        hold.set()
        drain(part, consumer.take, batches=1)
        assert values(consumer.messages) == [b"a", b"bc"]
        gate.set()
        assert drain(part, consumer.take)
        join(writer, "the writer of the pipe")
        assert source.progress.done
        snapshot = part.snapshot()
        assert snapshot["inputs"] == {}
        seen += [(message.topic, message.offset, message.seq) for message in consumer.messages]
        assert turn < 2
        part.close()
    assert seen == [("stdin:1", 1, 2), ("stdin:1", 2, 4), ("stdin:2", 1, 6), ("stdin:2", 2, 8)]


def test_while_paused_nothing_is_read_and_stopping_ends_without_being_done(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(numbered(0, 10))
    paused, stopping = [True], [False]
    consumer = Consumer()
    source, part = file_part(path, None, consumer, 4, paused=lambda: paused[0], stopping=lambda: stopping[0])
    assert part.next_batch() == []
    paused[0] = False
    consumer.take(part.next_batch())
    stopping[0] = True
    assert drain(part, consumer.take)
    assert len(consumer.messages) == source.progress.lines == 4
    assert not source.progress.done
    assert source.progress.total == path.stat().st_size
    messages, _ = read_file(path, part.snapshot())
    assert len(messages) == 6
    assert messages[0].log_time > MIN_TIME


def test_a_name_that_is_not_utf8_can_stand_in_a_dead_letter(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/export-\xff.jsonl"))
    path.write_bytes(b"{\n")
    (message,), snapshot = read_file(path)
    letter = decode(message)
    assert isinstance(letter, DeadLetter)
    assert decode_line(encode_line(letter)).topic == "export-\ufffd.jsonl"
    again, _ = read_file(path, snapshot)
    assert again == []


def test_switches_of_the_directory_come_before_the_next_line_and_once(tmp_path: Path) -> None:
    path, switches = tmp_path / "events.jsonl", tmp_path / "guidance.jsonl"
    path.write_bytes(line(START) + b"\n")

    def run(resume: Any) -> tuple[list[tuple[bytes, int, int]], Any]:
        source = JsonlSource(path, peek, BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD), now=lambda: NOW, switches=switches)
        part = source.build_part("input", "input", resume)
        items: list[Message | Tick] = []
        assert drain(part, items.extend)
        part.close()
        return [(item.value, item.log_time, item.seq) for item in items if isinstance(item, Message)], part.snapshot()

    first, snapshot = run(None)
    assert first == [(line(START), START, 2)]
    append_switch(switches, b"pause")
    with switches.open("ab") as file:
        file.write(b"half a line")
    with path.open("ab") as file:
        file.write(line(START + 5) + b"\n")
    second, later = run(snapshot)
    assert second == [(b"pause", START, 4), (line(START + 5), START + 5, 6)]
    assert run(snapshot)[0] == second, "a run that was killed before its first snapshot takes it at the same place"
    assert run(later)[0] == []
    append_switch(switches, b"resume")
    assert read_switches(switches) == [b"pause", b"half a line", b"resume"]


def test_a_batch_ends_after_what_may_be_a_switch(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(line(START + n, kind="guidance_switched" if n == 2 else "track") + b"\n" for n in range(6)))
    part = JsonlSource(path, peek, BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD), now=lambda: NOW).build_part("input", "input", None)
    batches: list[int] = []
    assert drain(part, lambda batch: batches.append(len(batch)))
    part.close()
    assert [size for size in batches if size] == [3, 3]
