"""``make chaos``: rounds of faults, compared with a run without faults. ``--help`` lists the options."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos.schedule import ALL, KILLS, schedule
from tests.chaos.world import ChaosError, Input, run
from tests.support.job_state import differences

KINDS = {"kills": KILLS, "all": ALL}
_ROUNDS_OF_A_RUN = 20


def main() -> int:
    """Run the rounds and say what was found. The exit code is 1 if a run differs."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="faults altogether, twenty in a run")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first run; each further run has the next one")
    parser.add_argument("--faults", choices=sorted(KINDS), default="kills")
    parser.add_argument("--users", type=int, default=60)
    parser.add_argument("--days", type=int, default=8)
    parser.add_argument("--keep", action="store_true", help="keep the directory of a run that differs")
    asked = parser.parse_args()
    applied, ended, failed, rounds, seed = Counter[str](), Counter[str](), list[int](), 0, asked.seed
    while rounds < asked.rounds:
        count = min(_ROUNDS_OF_A_RUN, asked.rounds - rounds)
        again = f"make chaos SEED={seed} ROUNDS={count} FAULTS={asked.faults}"
        _say(f"seed {seed}: {count} rounds ({again})")
        began, place = time.monotonic(), Path(tempfile.mkdtemp(prefix="onramp-chaos-"))
        source = Input(seed, asked.users, asked.days)
        try:
            expected = run(place / "calm", source)
            found = run(place / "chaos", source, schedule(seed, count, KINDS[asked.faults]), tell=lambda text: _say(f"    {text}"))
        except AssertionError as error:
            told = str(error)
        else:
            applied, ended = applied + found.applied, ended + found.ended
            told = differences(expected.state, found.state)
            rows = sum(map(len, expected.state.values()))
            if not told:
                _say(f"  the same {rows:,} rows in {len(expected.state)} places; {found.starts} starts, {time.monotonic() - began:.0f} s")
        rounds, seed = rounds + count, seed + 1
        if told:
            failed.append(seed - 1)
            _say(f"  DIFFERENT, repeat it with: {again}\n{told}")
        if not (told and asked.keep):
            shutil.rmtree(place)
    _say(f"{rounds} rounds asked for, {applied.total()} faults met: {dict(sorted(applied.items()))}")
    _say(f"the job ended by itself: {dict(ended.most_common())}")
    _say(f"seeds of runs that differ: {failed}" if failed else "0 lost, 0 twice: every run left what a run without faults leaves")
    return int(bool(failed))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ChaosError as error:
        sys.exit(str(error))
