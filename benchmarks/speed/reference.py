"""Measures the reference to which figures are normalised: ``decode`` at commit 3f9f2d7, on the input of that commit, from a work tree."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.trees import checked_out, python

COMMIT: Final = "3f9f2d7"
_EVENTS: Final = 50_000
_RUNS: Final = 5
_TIMEOUT_S: Final = 900.0
_WRITE: Final = (
    "import sys; from pathlib import Path; from benchmarks.run_file import write_input; write_input(Path(sys.argv[1]), int(sys.argv[2]), 1)"
)


def reference_decode(tell: Callable[[str], None]) -> float:
    """Return the events per second of the fastest of five runs: other load on the machine only ever slows one down."""
    with checked_out(COMMIT) as tree, tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "events.jsonl"
        run = partial(python, tree, timeout=_TIMEOUT_S)
        run(["-c", _WRITE, str(source), str(_EVENTS)])
        seconds = [
            json.loads(run(["-m", "benchmarks.run_file", "--scenario", "decode", str(source)]).splitlines()[-1])["seconds"]
            for _ in range(_RUNS)
        ]
    found: float = _EVENTS / min(seconds)
    tell(f"decode of {COMMIT}: {found:,.0f} events/s (runs of {min(seconds):.2f} to {max(seconds):.2f} s)")
    return found
