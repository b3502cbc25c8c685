"""The processes of one job: their addresses, and which of them this one is.

The first process keeps what must survive: the recovery store, and the spool that belongs to it. The others keep nothing, so their number
may change between two starts, and the repair of the store, which needs all of it, is possible (``local/recovery_store.py``).
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

_LOG = logging.getLogger(__name__)

_ADDRESS: Final = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(?P<port>[1-9][0-9]{0,4})")
_NUMBER: Final = re.compile(r"(?:[A-Za-z](?:.*[^0-9])?)?([0-9]{1,4})")
_MOST: Final = 64


class RunnerError(Exception):
    """The runner was started for other processes than the settings name. The text is one sentence for the user."""


class Processes(NamedTuple):
    """``addresses`` has one for each process, in the same order everywhere; none for a job of one process. ``number`` counts from 0."""

    number: int = 0
    addresses: tuple[str, ...] = ()

    @property
    def keeps(self) -> bool:
        """Whether this process keeps the recovery store and the spool."""
        return self.number == 0

    def arguments(self) -> list[str]:
        """What Bytewax's runner must be told."""
        return ["--process-id", str(self.number), "--addresses", ";".join(self.addresses)] if self.addresses else []


def parse_addresses(text: Any) -> Any:
    """Return the addresses of a list separated by commas. A value that is not text is returned unchanged. Raises ``ValueError``."""
    if not isinstance(text, str):
        return text
    addresses = tuple(each.strip() for each in text.split(","))
    for number, address in enumerate(addresses, start=1):
        found = _ADDRESS.fullmatch(address)
        if found is None or int(found["port"]) > 65_535:
            raise ValueError(f"addresses are host:port separated by commas, and address {number} is not")
    if len({address.lower() for address in addresses}) < len(addresses):
        raise ValueError("an address is there twice, and each process needs its own")
    if len(addresses) > _MOST:
        raise ValueError(f"a job has at most {_MOST} processes")
    return addresses


def parse_number(text: Any) -> Any:
    """Return the number in which a name ends, like that of a pod. A value that is not text is returned unchanged. Raises ``ValueError``."""
    if not isinstance(text, str):
        return text
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        raise ValueError("it must be a number from 0 on, or a name that ends in one, like onramp-job-0")
    return int(found[1])


class RunnerOptions(NamedTuple):
    """What Bytewax's runner was told. Its own parser has read the same before: numbers are numbers."""

    process_id: str | None
    addresses: str | None
    recovery_directory: str | None
    workers_per_process: int
    backup_interval: int
    """In seconds."""


def runner_options(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> RunnerOptions:
    """Return the options of ``arguments``, which are those of the program, else of the environment."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-i", "--process-id", default=environment.get("BYTEWAX_PROCESS_ID"))
    parser.add_argument("-a", "--addresses", default=environment.get("BYTEWAX_ADDRESSES") or environment.get("BYTEWAX_HOSTFILE_PATH"))
    parser.add_argument("-r", "--recovery-directory", default=environment.get("BYTEWAX_RECOVERY_DIRECTORY"))
    parser.add_argument("-w", "--workers-per-process", type=int, default=environment.get("BYTEWAX_WORKERS_PER_PROCESS") or 1)
    parser.add_argument("-b", "--backup-interval", type=int, default=environment.get("BYTEWAX_RECOVERY_BACKUP_INTERVAL") or 0)
    return RunnerOptions(**vars(parser.parse_known_args(arguments)[0]))


def check_runner(processes: Processes, state: Path, given: RunnerOptions) -> None:
    """Check that Bytewax's runner was started as the settings say. Raises ``RunnerError``.

    ``state`` is the recovery store of the data directory: with another one, or none, the job would begin anew beside what it has made
    before. A runner that knows of other processes than the settings would leave each of them with a store of its own.
    """
    _check_store(state, given.recovery_directory)
    if processes.arguments() == (["--process-id", given.process_id, "--addresses", given.addresses] if given.addresses else []):
        return
    wanted = " ".join(f'"{each}"' if ";" in each else each for each in processes.arguments())
    if not wanted:
        raise RunnerError(
            "The runner was started for several processes, and ONRAMP_PROCESS_ADDRESSES is not set: set it and ONRAMP_PROCESS for each of "
            "them, or leave out --process-id and --addresses."
        )
    raise RunnerError(f"ONRAMP_PROCESS_ADDRESSES and ONRAMP_PROCESS need a runner that is started with {wanted}.")


def _check_store(state: Path, given: str | None) -> None:
    if given and Path(given).resolve() == state.resolve():
        return
    started = f"with the recovery store {given}" if given else "without a recovery store, so that it would begin at the first message"
    raise RunnerError(
        f"The runner was started {started}: start it with -r {shlex.quote(str(state))} -s 5 -b 1000000000000, or with "
        "docker/run-job.sh, which does; ONRAMP_DATA_DIR names the data directory."
    )


def workers_of(processes: Processes, given: RunnerOptions) -> int:
    """The workers of all processes, which Bytewax's runner starts alike."""
    return max(1, given.workers_per_process) * max(1, len(processes.addresses))


def keeps_old_snapshots(interval: timedelta, given: RunnerOptions) -> bool:
    """Whether Bytewax's runner was told to keep old snapshots for ``interval`` at least."""
    return given.backup_interval >= interval.total_seconds()
