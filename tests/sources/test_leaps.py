"""One fast clock does not move time for everybody, and a pause that is real still does."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from flows.run_notes import notes_on
from sources.files.blocks import BLOCK_BYTES
from sources.files.leaps import ALONE_MS, LINES, judge
from sources.files.source import FUTURE_MS, MIN_TIME
from state.duration import DAY, HOUR, MINUTE
from state.messages import Message
from tests.sources.harness import NOW, Consumer, drain, file_part, line, read_file
from tests.support.waiting import PATIENCE, join, wait_until

START = 1_700_000_000_000


def person_of(value: bytes) -> object:
    """Whose line it is: the tests' lines are ``{"t": ms, "who": name}``."""
    try:
        return msgspec.json.decode(value).get("who")
    except msgspec.DecodeError:
        return None


def by(who: str | None, time: int) -> bytes:
    return line(time) if who is None else line(time, who=who)


def crowd(count: int, first: int = START, every: int = MINUTE) -> list[bytes]:
    """Lines of five people in turn."""
    return [by(f"p{number % 5}", first + number * every) for number in range(count)]


def write(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"".join(each + b"\n" for each in lines))
    return path


def log_times(path: Path, **more: Any) -> list[int]:
    messages, _ = read_file(path, peek_person=person_of, **more)
    return [message.log_time for message in messages]


@pytest.mark.parametrize("ahead", [3 * HOUR, 20 * HOUR, 40 * DAY])
@pytest.mark.parametrize("place", [0, 1, 20, 37, 39])
@pytest.mark.parametrize("repeated", [1, 5])
def test_one_fast_clock_changes_nothing_for_the_others(tmp_path: Path, ahead: int, place: int, repeated: int) -> None:
    lines = crowd(40)
    fast = [by("fast", START + place * MINUTE + ahead + number) for number in range(repeated)]
    plain = log_times(write(tmp_path / "plain.jsonl", lines))
    poisoned = log_times(write(tmp_path / "poisoned.jsonl", lines[:place] + fast + lines[place:]))
    assert poisoned[:place] + poisoned[place + repeated :] == plain


def test_the_line_is_named_and_never_rejected_by_the_time_of_its_neighbours(tmp_path: Path) -> None:
    lines = crowd(20)
    lines.insert(7, by("fast", START + 40 * DAY))
    lines.insert(9, by("fast", START + 5 * HOUR))
    consumer = Consumer()
    source, part = file_part(write(tmp_path / "e.jsonl", lines), None, consumer, peek_person=person_of)
    assert drain(part, consumer.take)
    assert {message.reference for message in consumer.messages} == {NOW}
    progress = source.progress
    assert (progress.ahead, progress.first_ahead, progress.backward) == (1, 8, 0)  # five hours ahead is within the day that is allowed
    assert 39 * DAY < progress.furthest_ahead <= 40 * DAY


def test_a_line_that_no_line_follows_is_counted_as_not_judged(tmp_path: Path) -> None:
    fast, later = by("fast", START + 40 * DAY), by("late", START + HOUR)
    for lines, judged in (([*crowd(20), fast], False), ([*crowd(20), fast, b"{}", b""], False), ([*crowd(20), fast, later], True)):
        consumer = Consumer()
        source, part = file_part(write(tmp_path / f"{len(lines)}.jsonl", lines), None, consumer, peek_person=person_of)
        assert drain(part, consumer.take)
        assert (source.progress.ahead, source.progress.first_ahead, source.progress.not_judged) == (1, 21, int(not judged))


def by_user(users: int) -> list[bytes]:
    """A file that is sorted by user and then by time."""
    return [by(f"u{user}", START + day * DAY + user) for user in range(users) for day in (0, 1, 3, 7)]


def newest_first(count: int) -> list[bytes]:
    return [by(f"p{number % 5}", START + (count - number) * 2 * DAY) for number in range(count)]


@pytest.mark.parametrize("lines", [by_user(100), newest_first(5), newest_first(40)], ids=["by user", "newest first", "many, newest first"])
def test_a_file_in_another_order_loses_no_event_and_is_to_be_sorted(tmp_path: Path, lines: list[bytes]) -> None:
    consumer = Consumer()
    source, part = file_part(write(tmp_path / "e.jsonl", lines), None, consumer, peek_person=person_of)
    assert drain(part, consumer.take)
    assert len(consumer.messages) == len(lines)
    assert {message.reference for message in consumer.messages} == {NOW}  # decode rejects nothing earlier than a day after the run's start
    run = {"eventsRead": len(lines), "deadLetters": {}, "outcomes": {}, "exposuresIgnored": {}, "valuesUnread": {}, "traitsNotKept": {}}
    (note,) = notes_on({"thisRun": run, "eventsRead": 0, "eventsAccepted": 0, "deadLetters": {}}, source.progress, tmp_path / "none")
    assert "Sort the events by time" in note
    assert "clock" not in note


def test_in_a_file_by_user_time_follows_the_first_user(tmp_path: Path) -> None:
    times = log_times(write(tmp_path / "e.jsonl", by_user(100)))
    assert times[:4] == [START + day * DAY for day in (0, 1, 3, 7)]
    assert max(times) < START + 7 * DAY + 100


@pytest.mark.parametrize("people", [1, 2, 5])
def test_a_pause_that_is_real_moves_time_at_once(tmp_path: Path, people: int) -> None:
    """A product that closes for the summer, and files of some lines with weeks between them."""
    times = [START, START + HOUR, START + 90 * DAY, START + 90 * DAY + MINUTE, START + 200 * DAY, START + 201 * DAY]
    lines = [by(f"p{number % people}", time) for number, time in enumerate(times)]
    assert log_times(write(tmp_path / "e.jsonl", lines)) == times


def test_the_last_line_moves_time_by_a_week_and_no_further(tmp_path: Path) -> None:
    for ahead, follows in ((ALONE_MS, True), (ALONE_MS + 1, False)):
        path = write(tmp_path / f"{ahead}.jsonl", [by("a", START), by("b", START + ahead)])
        assert log_times(path) == [START, START + ahead if follows else START]


def test_the_only_line_is_the_time(tmp_path: Path) -> None:
    assert log_times(write(tmp_path / "e.jsonl", [by("a", START)])) == [START]


@pytest.mark.parametrize("lines", [by_user(30), newest_first(40)], ids=["by user", "newest first"])
def test_another_order_gives_the_same_wherever_the_job_resumes(tmp_path: Path, lines: list[bytes]) -> None:
    same_wherever_it_resumes(write(tmp_path / "e.jsonl", lines), len(lines), Random(5))


def test_the_same_lines_give_the_same_wherever_the_job_resumes(tmp_path: Path) -> None:
    rng, lines, time = Random(3), list[bytes](), START
    for number in range(150):
        time += rng.choice([MINUTE, MINUTE, 3 * HOUR, 2 * DAY])
        lines.append(by(f"p{rng.randrange(6)}", time))
        if number % 10 == 4:
            lines += [by(f"fast{number % 3}", time + rng.randrange(HOUR, 300 * DAY))] * rng.randrange(1, 4)
    same_wherever_it_resumes(write(tmp_path / "e.jsonl", lines), len(lines), rng)


def same_wherever_it_resumes(path: Path, count: int, rng: Random) -> None:
    """Read the file in batches and runs of any length; all must give what one run gives."""
    whole, end = read_file(path, peek_person=person_of)
    for _ in range(8):
        messages, done = list[Message](), False
        snapshot: Any = None
        for _ in range(count):
            consumer = Consumer()
            _, part = file_part(path, snapshot, consumer, batch_size=rng.randrange(1, 30), peek_person=person_of)
            done = drain(part, consumer.take, rng.randrange(1, 5))
            snapshot = part.snapshot()
            part.close()
            messages += consumer.messages
            if done:
                break
        assert done
        assert messages == whole
        assert {**snapshot, "ticked": 0} == {**end, "ticked": 0}


def test_a_leap_is_judged_across_blocks(tmp_path: Path) -> None:
    filler = BLOCK_BYTES // 2
    lines = [line(START + number * MINUTE, who=f"p{number}", pad="x" * filler) for number in range(8)]
    lines.insert(1, line(START + 9 * DAY, who="fast", pad="x" * filler))
    assert log_times(write(tmp_path / "e.jsonl", lines)) == [START, START, *(START + number * MINUTE for number in range(1, 8))]


class Pipe:
    """A pipe that stays open, and the partition that reads it. ``looks``: how often the person of a line was read."""

    def __init__(self, path: Path, wait_s: float) -> None:
        os.mkfifo(path)
        self.consumer, self.looks = Consumer(), 0
        opened: list[int] = []
        opener = threading.Thread(target=lambda: opened.append(os.open(path, os.O_WRONLY)), daemon=True)
        opener.start()
        _, self.part = file_part(path, None, self.consumer, peek_person=self._person_of, pipe_wait_s=wait_s)
        join(opener, "the other end of the pipe")
        (self.writer,) = opened

    def _person_of(self, value: bytes) -> object:
        self.looks += 1
        return person_of(value)

    def write(self, *lines: bytes) -> None:
        os.write(self.writer, b"\n".join([*lines, b""]))

    def take(self) -> list[int]:
        """The log times so far."""
        self.consumer.take(self.part.next_batch())
        return [message.log_time for message in self.consumer.messages]

    def end(self) -> None:
        os.close(self.writer)
        assert drain(self.part, self.consumer.take)
        self.part.close()


FOR_EVER = 10 * PATIENCE


def test_a_pipe_waits_until_the_leap_is_judged(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path / "pipe", FOR_EVER)
    pipe.write(*crowd(4), by("fast", START + 50 * DAY))
    wait_until(lambda: len(pipe.take()) == 4, "the lines before the leap")
    looks = pipe.looks
    for _ in range(50):
        assert len(pipe.take()) == 4
    assert pipe.looks <= looks + 1  # the lines are read again only when more have come
    pipe.write(*crowd(3, START + 4 * MINUTE))
    wait_until(lambda: len(pipe.take()) == 8, "the rest")
    pipe.end()
    assert pipe.consumer.messages[4].log_time == START + 3 * MINUTE


def test_the_first_line_of_a_pipe_does_not_wait(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path / "pipe", FOR_EVER)
    pipe.write(by("a", START))
    wait_until(lambda: pipe.take() == [START], "the first line")
    pipe.write(by("a", START + MINUTE))
    wait_until(lambda: pipe.take() == [START, START + MINUTE], "the second line")
    pipe.end()


def test_the_lines_that_are_there_judge_the_first_one_of_a_pipe(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path / "pipe", FOR_EVER)
    pipe.write(by("fast", START + 50 * DAY), by("a", START))
    wait_until(lambda: pipe.take() == [START, START], "both lines")
    pipe.end()


@pytest.mark.parametrize(("votes", "moves"), [([0, 1], False), ([50 * DAY], True), ([], False)])
def test_a_pipe_that_is_quiet_is_judged_by_what_is_there(tmp_path: Path, votes: list[int], moves: bool) -> None:
    pipe = Pipe(tmp_path / "pipe", 0.1)
    pipe.write(by("a", START))
    wait_until(lambda: pipe.take() == [START], "the first line")
    pipe.write(by("b", START + 50 * DAY), *(by(f"c{number}", START + after) for number, after in enumerate(votes)))
    wait_until(lambda: len(pipe.take()) == 2 + len(votes), "the leap and what follows")
    assert pipe.take()[1] == START + 50 * DAY * moves
    pipe.end()


def votes(*times: int) -> list[tuple[int, object]]:
    return [(time, f"v{number}") for number, time in enumerate(times)]


def test_each_person_has_one_vote() -> None:
    own = START + 30 * DAY
    flush = [(START - number, "offline") for number in range(20)]  # a device that sends what it kept
    back = [(own + number, f"p{number}") for number in range(3)]
    assert judge(own, "a", START, [*flush, *back], unknown=MIN_TIME) == own


def test_a_person_votes_with_the_latest_line_so_far() -> None:
    own = START + 3 * DAY
    catching_up = [(START + day * DAY, who) for who in ("b", "c") for day in (0, 3)]
    assert judge(own, "a", START, catching_up, unknown=MIN_TIME) == own
    assert judge(own, "a", START, reversed(catching_up), unknown=MIN_TIME) == START


def test_a_lead_of_three_ends_the_count() -> None:
    def lines() -> Iterator[tuple[int, object]]:
        yield from votes(START, START, START)
        raise AssertionError("the lines before were enough")

    assert judge(START + 30 * DAY, "a", START, lines(), unknown=MIN_TIME) == START


def test_a_person_alone_judges_for_itself() -> None:
    own = START + 30 * DAY
    assert judge(own, "a", START, [(own + 1, "a"), (own + 2, "a")], unknown=MIN_TIME) == own
    assert judge(own, "a", START, [(own + 1, "a")] * LINES + votes(START), unknown=MIN_TIME) == START
    assert judge(own, "a", MIN_TIME, [(START + 1, "a"), (START, "a")], unknown=MIN_TIME) == START


def test_a_first_line_that_is_contradicted_has_the_earliest_time_of_the_others() -> None:
    own = START + 30 * DAY
    assert judge(own, "a", MIN_TIME, votes(START + 2, START + 1, START + 3), unknown=MIN_TIME) == START + 1
    later = [(START + 1, "b"), (START + 2, "b"), (START + 3, "c"), (START + 4, "d")]
    assert judge(own, "a", MIN_TIME, later, unknown=MIN_TIME) == START + 1


def test_most_decide_and_half_are_not_enough() -> None:
    own = START + 30 * DAY
    assert judge(own, "a", START, votes(START, START), unknown=MIN_TIME) == START
    assert judge(own, "a", START, votes(own, START), unknown=MIN_TIME) == START
    assert judge(own, "a", START, votes(own, START, own), unknown=MIN_TIME) == own


def test_times_out_of_range_have_no_vote(tmp_path: Path) -> None:
    lines = [by("a", START), by("b", START + 30 * DAY), by("c", 86_400_000), by("d", NOW + FUTURE_MS + 1), by("e", START + 30 * DAY + 1)]
    assert log_times(write(tmp_path / "e.jsonl", lines))[1] == START + 30 * DAY
