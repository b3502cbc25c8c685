"""Fuzzed messages through the whole job: each is accepted or a dead letter with a reason, no process ends, and memory stays flat.

``python -m tests.chaos.fuzz --count 1000000 --seed 1``. It prints the memory of the job at each tenth.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sources.local_log.log import EventLog, Record
from sources.local_log.source import NAME
from state.decode import decode
from state.event_contract import REJECTIONS
from state.messages import Message
from state.records.dead_letter import DeadLetter
from tests.chaos.append import key_of, set_clock
from tests.chaos.world import Input, World, world
from tests.fuzz.event_sender import FIRST, STEP, Sender

GROUP: Final = 500
AHEAD: Final = 20_000
"""Messages that may wait in the log: the job's memory shall not depend on who is faster."""
_LONG: Final = 4 * 3600.0


@dataclass(frozen=True)
class Found:
    """What became of the messages. ``memory`` is the resident memory of the job in MB after each tenth.

    ``expected`` and ``letters`` are offset → reason of what the decoder alone rejects, and of the dead letters. ``applied`` counts what
    reached somebody's state, or was left out there as a duplicate, as late, or as an event of somebody who was deleted.
    """

    sent: int
    expected: dict[int, str]
    letters: dict[int, str]
    applied: int
    tally: dict[str, int]
    memory: list[float]

    def faults(self) -> list[str]:
        """What is wrong, in sentences; empty where nothing is."""
        told = []
        if self.letters != self.expected:
            wrong = sorted(set(self.letters.items()) ^ set(self.expected.items()))
            told.append(f"{len(wrong)} messages were judged otherwise than by the decoder alone: {wrong[:10]}")
        if self.applied < self.sent - len(self.letters):
            told.append(f"{self.sent - len(self.letters) - self.applied} accepted messages reached nobody")
        if unknown := set(self.letters.values()) - set(REJECTIONS):
            told.append(f"dead letters have reasons that nobody knows: {sorted(unknown)}")
        if sum(self.tally.values()) != len(self.letters):
            told.append(f"the file has {len(self.letters)} dead letters, the tally {sum(self.tally.values())}")
        return told


def fuzz(directory: Path, count: int, seed: int, tell: Callable[[str], None]) -> Found:
    """Send ``count`` messages to a job, and return what became of them. Raises ``AssertionError`` if the job ends by itself."""
    sender = Sender(seed)
    settings = {"ONRAMP_EPOCH_SECONDS": "5", "ONRAMP_BATCH_SIZE": "1000"}
    with world(directory, Input(seed, users=1, days=1), settings=settings) as here:
        memory, expected, sent = list[float](), dict[int, str](), 0
        first = round(FIRST.timestamp() * 1000)
        set_clock(directory / "clock", first, 0)
        with EventLog(directory / "log", partitions=1, retention=None, now=lambda: first + sent * STEP * 1000) as log:
            job = here.start_job()
            began = time.monotonic()
            while sent < count:
                group = [sender.message() for _ in range(min(GROUP, count - sent))]
                stamp = first + (sent + len(group)) * STEP * 1000
                expected.update(_rejected(group, sent, stamp))
                sent += len(group)
                set_clock(directory / "clock", stamp, 0)
                log.append([Record(key_of(line), line) for line in group])
                _wait(here, lambda: here.job_offset() >= sent - AHEAD, "the job to follow")  # noqa: B023 - called before the next turn
                if sent * 10 // count > len(memory):
                    _wait(here, lambda: here.job_offset() >= sent - GROUP, "the job to follow")  # noqa: B023
                    memory.append(resident_mb(job.pid))
                    tell(f"  {sent:>9,} messages, {memory[-1]:.0f} MB, {sent / (time.monotonic() - began):,.0f}/s")
        _wait(here, lambda: here.job_offset() == count, "the end of the messages")
        here.stop_job()
        summary = here.summary()
        assert summary["eventsRead"] == count, summary
        letters = dict[int, str]()
        with (here.data / "dead_letters.jsonl").open("rb") as file:
            for letter in map(json.loads, file):
                assert letter["offset"] not in letters, f"the message {letter['offset']} is a dead letter twice"
                letters[letter["offset"]] = letter["reason"]
        applied = summary["eventsAccepted"] + summary["duplicates"] + sum(summary["ignored"].values())
        return Found(count, expected, letters, applied, summary["deadLetters"], memory)


def _rejected(group: list[bytes], first: int, stamp: int) -> Iterator[tuple[int, str]]:
    """What the decoder alone rejects: offset and reason."""
    for offset, line in enumerate(group, first):
        found = decode(Message(line, key_of(line), NAME, 0, offset, stamp, stamp, 0))
        if isinstance(found, DeadLetter):
            yield offset, found.reason


def _wait(here: World, condition: Callable[[], Any], what: str) -> None:
    def seen() -> bool:
        assert here.job is not None
        assert here.job.poll() is None, f"the job ended by itself: {here.last_words()}"
        return bool(condition())

    here.patiently(seen, what, _LONG)


def resident_mb(process: int) -> float:
    """The resident memory of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def main() -> int:
    """Send the messages and say what became of them. The exit code is 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="make chaos-fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="onramp-fuzz-"))

    def tell(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    tell(f"{asked.count:,} messages, seed {asked.seed} (make chaos-fuzz N={asked.count} SEED={asked.seed})")
    try:
        found = fuzz(place / "world", asked.count, asked.seed, tell)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    accepted = found.sent - len(found.letters)
    tell(f"{accepted:,} accepted, {len(found.letters):,} dead letters with {len(found.tally)} reasons: {found.tally}")
    told = found.faults()
    tell("\n".join(told) if told else f"0 crashes; memory at the tenths: {', '.join(f'{each:.0f}' for each in found.memory)} MB")
    return int(bool(told))


if __name__ == "__main__":
    sys.exit(main())
