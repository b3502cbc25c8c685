"""The process of the embedded ClickHouse: one engine on one directory, served by HTTP. ``clickhouse`` starts it and finds it.

It ends when nobody has used it for ``LINGER_SECONDS``, when its directory is gone, and upon SIGTERM. Users are processes that hold the
file ``users.lock`` with a shared lock, which the kernel releases however they end. The process tries to lock that file alone a few times a
second. Once it has, and the time is over, it keeps that lock to its end: a new user waits for it and then starts a new process, so no user
ever has an address whose server is about to end.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Final

from local.clickhouse import CANNOT_OPEN
from local.clickhouse_engine import Engine, EngineError
from local.clickhouse_http import ClickHouseHttp
from system.private_files import write_private

_USER: Final = "onramp"
LINGER_SECONDS: Final = 10.0
"""Long enough for the next command of a person at work, which then answers at once; short enough for a machine without memory to spare
(the process has 300 MB)."""
_TICK_SECONDS: Final = 0.2
_LAST_INSERTS_SECONDS: Final = 20.0  # for inserts that run when the process must end


def main(directory: Path, lock: int) -> int:
    """Serve the engine in ``directory`` until nobody needs it; return the exit code. ``lock`` is an open ``server.lock``, which is held.

    The last line that it prints before an early end is the reason.
    """
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    control = directory / "server"
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    users = os.open(control / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
    password = secrets.token_urlsafe(24)
    server = ClickHouseHttp({_USER: password})
    try:
        engine = Engine(directory)
    except EngineError as error:
        _print(f"{error}\n{CANNOT_OPEN}")
        return 1
    server.start(engine)
    address = control / "address.json"
    write_private(address, json.dumps({"url": f"http://{_USER}:{password}@127.0.0.1:{server.server_port}"}).encode())
    _serve(server, ending, address, users)
    address.unlink(missing_ok=True)
    server.stop(_LAST_INSERTS_SECONDS)
    engine.close()
    return 0


def _serve(server: ClickHouseHttp, ending: threading.Event, address: Path, users: int) -> None:
    """Block until the process must end."""
    used = time.monotonic()
    while not ending.wait(_TICK_SECONDS):
        server.cancel_abandoned()
        if not _is_there(address, users):
            return
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            used = time.monotonic()
            continue
        if time.monotonic() - used >= LINGER_SECONDS:
            return
        fcntl.flock(users, fcntl.LOCK_UN)


def _is_there(address: Path, users: int) -> bool:
    """Whether the directory is still that of this process: it may be removed or replaced."""
    try:
        now, opened = (address.parent / "users.lock").stat(), os.fstat(users)
    except FileNotFoundError:
        return False
    return (now.st_dev, now.st_ino) == (opened.st_dev, opened.st_ino)


def run(arguments: list[str]) -> None:
    """Run ``main`` and end the process at once: threads of the engine must not delay it."""
    code = 1
    try:
        code = main(Path(arguments[0]), int(arguments[1]))
    except OSError as error:
        _print(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    os._exit(code)


def _print(reason: str) -> None:
    """Print to the log, which the starter of the process reads."""
    sys.stdout.write(f"{reason}\n")
    sys.stdout.flush()
