"""A program that appends to an event log and says what was acknowledged.

``python -m tests.support.log_writer DIRECTORY NAME APPENDS SIZE`` writes a line for each acknowledged append: the number of its first
record, and how many there are. Record ``n`` has the key ``NAME-(n % 7)`` and the value ``NAME n``. With ``--file-limit BYTES`` no file
may grow beyond; when the log is full it writes ``full`` and the error, raises the limit, and goes on.
"""

from __future__ import annotations

import argparse
import resource
import sys
from pathlib import Path

from sources.errors import LogFullError
from sources.local_log.log import EventLog, Record

KEYS = 7


def record(name: str, number: int, pad: int = 0) -> Record:
    return Record(f"{name}-{number % KEYS}".encode(), f"{name} {number}".encode() + b" " * pad)


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("name")
    parser.add_argument("appends", type=int)
    parser.add_argument("size", type=int)
    parser.add_argument("--pad", type=int, default=0)
    parser.add_argument("--file-limit", type=int)
    asked = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    with EventLog(asked.directory) as log:
        if asked.file_limit is not None:
            sys.dont_write_bytecode = True  # Python cuts off bytecode at the limit, and reads it again
            resource.setrlimit(resource.RLIMIT_FSIZE, (asked.file_limit, most))
        say("ready")
        for append in range(asked.appends):
            first = append * asked.size
            records = [record(asked.name, number, asked.pad) for number in range(first, first + asked.size)]
            try:
                log.append(records)
            except LogFullError as error:
                say("full", error)
                resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
                log.append(records)
            say(first, asked.size)


if __name__ == "__main__":
    main()
