"""Measures the memory of a user with 20 events in the step ``track``: ``python -m benchmarks.user_memory [--users N] [--json]``.

People of ``benchmarks.generate`` who send at least 20 events send 20 each, to a key of the step each, without the engine. ``awake`` is the
growth of the process's resident memory per user where all stay awake, ``at rest`` where all come to rest after each event, when a user
is what the snapshot holds. ``operators/awake.py`` says who stays awake. Each is measured in a process of its own. Timers are part of both;
what the engine itself keeps for a key is not.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.generate import lines
from flows.catalogs import load_catalog
from operators.awake import AwakePeople
from operators.timer_registry import TimerRegistry
from operators.track import TrackLogic, track_logic
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.decode import decode
from state.event import Event
from state.event_time import peek_timestamp
from state.ids import Keys
from state.messages import Message

EVENTS: Final = 20
_PAGE: Final = 4_096
_ONE_AT_A_TIME: Final = 500
"""People whose events are made together, so that little memory is free for reuse when the measurement begins."""


def events(people: int, seed: int) -> list[list[Event]]:
    """The first ``EVENTS`` events of each of about ``people`` people, no visitors."""
    by_user: defaultdict[str, list[Event]] = defaultdict(list)
    for number, line in enumerate(lines(users=people, days=14, seed=seed, visitors=0.0)):
        at = peek_timestamp(line) or 0
        event = decode(Message(line, None, "bench", 0, number, at, at, 2 * number))
        if isinstance(event, Event) and len(by_user[event.user]) < EVENTS:
            by_user[event.user].append(msgspec.structs.replace(event, user=f"{seed}-{event.user}"))
    return [each for each in by_user.values() if len(each) == EVENTS]


def resident() -> int:
    """Resident memory of this process in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE


def measure(users: int, *, at_rest: bool) -> dict[str, float]:
    """Bytes per user, and the mean size of a snapshot."""
    awake = AwakePeople(0 if at_rest else sys.maxsize)
    build = track_logic(ByTenant(Plan(load_catalog("saas"))), Keys(b"benchmark"), TimerRegistry(), awake=awake)
    kept: list[TrackLogic] = []
    snapshots, seed, before, known = 0, 0, 0, 0
    while len(kept) < users:
        seed += 1
        if seed == 2:  # caches are warm
            before, known = resident(), len(kept)
            users += known
        for own in events(_ONE_AT_A_TIME, seed):
            logic = build(None)
            for event in own:
                logic.on_batch([event])
            if at_rest:
                snapshots += len(logic.snapshot())
            kept.append(logic)
    return {"bytes": (resident() - before) / (len(kept) - known), "snapshot": snapshots / len(kept)}


def main() -> None:
    """Run the measurement and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.user_memory", description="Measure the memory of a user with 20 events.")
    parser.add_argument("--users", type=int, default=10_000, help="users in memory (default: 10000)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--state", choices=("awake", "at_rest"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.state is not None:
        print(json.dumps(measure(given.users, at_rest=given.state == "at_rest")))
        return
    found = {}
    for state in ("awake", "at_rest"):
        command = [sys.executable, "-m", "benchmarks.user_memory", "--users", str(given.users), "--state", state]
        found[state] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        if not given.json:
            print(f"{state.replace('_', ' '):8} {found[state]['bytes']:7,.0f} bytes a user", flush=True)
    if given.json:
        print(json.dumps({"benchmark": "user_memory", "users": given.users, "events": EVENTS, **found}, indent=2))
    else:
        print(f"snapshot {found['at_rest']['snapshot']:7,.0f} bytes a user")


if __name__ == "__main__":
    main()
