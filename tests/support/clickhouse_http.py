"""A ClickHouse server for tests: the embedded one, with users as on a server, for as long as a test runs.

Run as a program it takes a directory, prints the port it listens on, and ends when its stdin closes, so it never outlives its test.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.waiting import PATIENCE, read_line, running

USERS = {"default": "", "analyst": "secret-pw"}
ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def clickhouse_server(directory: Path) -> Iterator[str]:
    """Run the server on a directory and yield its URL."""
    program = [sys.executable, "-m", "tests.support.clickhouse_http", str(directory)]
    with running(subprocess.Popen(program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as process:
        port = int(read_line(process.stdout, "the port of the test ClickHouse", within=60))  # the engine takes seconds to load
        yield f"http://127.0.0.1:{port}"
        assert process.stdin is not None
        process.stdin.close()
        process.wait(PATIENCE)


def main(directory: Path) -> None:
    """Serve until stdin closes."""
    from local.clickhouse_engine import Engine
    from local.clickhouse_http import ClickHouseHttp

    engine = Engine(directory)
    server = ClickHouseHttp(USERS)
    server.start(engine)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop(PATIENCE)
    engine.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
