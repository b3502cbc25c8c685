"""The order of messages and fired timers is that of a model without batches, however the input is batched, split or resumed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sources.batching import BatchPolicy
from sources.files.source import FUTURE_MS, MIN_TIME, TICK_MS, JsonlSource
from state.messages import Message, Tick
from state.stuck.parameters import PERIOD
from tests.sources.harness import LOOKAHEAD, NOW, Consumer, drain, file_part, line, peek

START = 1_700_000_000_000
YEAR_9999 = 253_370_764_800_000

steps = st.one_of(
    st.integers(0, TICK_MS // 30),
    st.integers(0, 5 * TICK_MS),
    st.integers(-TICK_MS, 40 * TICK_MS),
    st.sampled_from([None, "blank", "far", "old", TICK_MS, LOOKAHEAD]),
)


def lines_of(plan: list[int | str | None]) -> list[bytes]:
    time, lines = START, []
    for step in plan:
        if step is None:
            lines.append(b"no json")
        elif step == "blank":
            lines.append(b"  ")
        elif step in {"far", "old"}:
            lines.append(line(YEAR_9999 if step == "far" else 86_400_000))
        else:
            time += int(step)
            lines.append(line(time))
    return lines


def model(lines: list[bytes]) -> list[tuple[Any, ...]]:
    """What must happen, told line by line: before a line, everything due up to each boundary before its slot and at the start of the
    slot, again and again; then the line.
    """
    consumer, log_time, seq = Consumer(), MIN_TIME, 0
    for number, value in enumerate(lines, 1):
        if not value.strip():
            continue
        time = peek(value).at
        if time is not None and MIN_TIME <= time <= NOW + FUTURE_MS:
            log_time = max(log_time, time)
        start = log_time - log_time % TICK_MS
        while (due := consumer.wheel.next_due(0)) is not None and due <= start:
            consumer.fire(0, min(start, -(-due // PERIOD) * PERIOD))
        seq += 2
        consumer.message(value, log_time, number, seq)
    return consumer.log


@settings(deadline=None)
@example(plan=[0, 0, 9_711_655, 4_788_345], batch_size=1, stops=[4], stale=[0])  # an overdue timer, and boundaries before the slot
@given(
    plan=st.lists(steps, max_size=60),
    batch_size=st.integers(1, 40),
    stops=st.lists(st.integers(0, 8), max_size=6),
    stale=st.lists(st.integers(0, 60 * TICK_MS), max_size=4),
)
def test_any_batching_and_any_stop_give_what_the_model_gives(
    plan: list[int | str | None], batch_size: int, stops: list[int], stale: list[int]
) -> None:
    lines = lines_of(plan)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "events.jsonl")
        path.write_bytes(b"".join(value + b"\n" for value in lines))
        consumer, snapshot = Consumer(), None
        for batches in [*stops, None]:
            _, part = file_part(path, snapshot, consumer, batch_size)
            drain(part, consumer.take, batches)
            snapshot = part.snapshot()
            part.close()
            for offset in stale:  # timers that fire nothing, as a wheel without a restart still has them
                consumer.wheel.register(0, "stale", START + offset)
    assert consumer.log == model(lines)


@given(plan=st.lists(steps, max_size=40), cut=st.integers(0, 40))
def test_two_files_are_one_file_in_two_parts(plan: list[int | str | None], cut: int) -> None:
    lines = lines_of(plan)
    with tempfile.TemporaryDirectory() as directory:
        consumer, snapshot = Consumer(), None
        for name, part_lines in (("a.jsonl", lines[:cut]), ("b.jsonl", lines[cut:])):
            path = Path(directory, name)
            path.write_bytes(b"".join(value + b"\n" for value in part_lines))
            _, part = file_part(path, snapshot, consumer)
            drain(part, consumer.take)
            snapshot = part.snapshot()
            part.close()
    assert _without_line_numbers(consumer.log) == _without_line_numbers(model(lines))


def _without_line_numbers(log: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(*entry[:3], *entry[4:]) for entry in log]


def test_a_tick_stands_alone_with_an_odd_seq_between_its_neighbours(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(START) + b"\n" + line(START + 20 * LOOKAHEAD) + b"\n")
    consumer = Consumer()
    consumer.wheel.register(0, "someone", START + LOOKAHEAD)
    _, part = file_part(path, None, consumer)
    batches: list[list[Message | Tick]] = []

    def take(batch: list[Message | Tick]) -> None:
        batches.append(batch)
        consumer.take(batch)

    drain(part, take)
    assert [type(item) for item in batches[0]] == [Message]
    ticks = [batch for batch in batches if isinstance(batch[0], Tick)]
    assert ticks
    assert all(len(batch) == 1 and batch[0].seq == 3 for batch in ticks)
    assert [message.seq for message in consumer.messages] == [2, 4]


def test_nothing_is_due_no_tick_and_one_batch_up_to_the_lookahead_or_a_boundary(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(line(START + index * TICK_MS // 2) + b"\n" for index in range(20)))
    _, part = file_part(path, None, Consumer())
    sizes: list[int] = []
    drain(part, lambda batch: sizes.append(len(batch)))
    assert sum(sizes) == 20
    assert 2 <= len(sizes) <= 10 * TICK_MS // min(LOOKAHEAD, PERIOD) + 1


def test_when_timers_are_unknown_every_slot_gets_one_tick(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(line(START + index * TICK_MS // 2) + b"\n" for index in range(20)))
    part = JsonlSource(path, peek, BatchPolicy(None, lambda _: LOOKAHEAD), now=lambda: NOW).build_part("input", "input", None)
    items: list[Message | Tick] = []
    drain(part, items.extend)
    ticks = [item.at for item in items if isinstance(item, Tick)]
    assert ticks == sorted(set(ticks))
    assert len(ticks) in {10, 11}
    assert sum(isinstance(item, Message) for item in items) == 20


def test_a_poison_time_moves_nothing_and_the_year_2000_stands_before_the_first_time(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    times = [86_400_000, YEAR_9999, START, YEAR_9999, NOW + FUTURE_MS, NOW + FUTURE_MS]
    path.write_bytes(b"\n".join([b"?", *map(line, times), b"?"]))
    consumer = Consumer()
    _, part = file_part(path, None, consumer)
    drain(part, consumer.take)
    assert [message.log_time for message in consumer.messages] == [*[MIN_TIME] * 3, START, START, *[NOW + FUTURE_MS] * 3]
    assert all(message.reference == NOW for message in consumer.messages)
