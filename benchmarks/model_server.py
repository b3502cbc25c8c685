"""A fake model server that gives good answers after a fixed delay.

``python -m benchmarks.model_server --seconds 1.8``. Prints its address.
"""

from __future__ import annotations

import argparse
import sys
import threading

from tests.support.model_server import ModelServer, good, slow


def main() -> None:
    """Serve until standard input ends; then print the number of requests."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_server", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.8, help="delay of every answer (default: 1.8)")
    arguments = parser.parse_args()
    with ModelServer(slow(arguments.seconds) if arguments.seconds else good()) as server:
        print(server.url, flush=True)
        threading.Thread(target=sys.stdin.read, daemon=True).run()
        print(len(server.requests), flush=True)


if __name__ == "__main__":
    main()
