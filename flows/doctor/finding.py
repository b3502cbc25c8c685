"""What a check finds, and how checks are run: each in a thread with a deadline, so that a server that hangs holds up nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

Status = Literal["ok", "warn", "fail"]


class Finding(NamedTuple):
    """``says`` is what was found, ``advice`` one sentence that says what to do; empty where nothing is to be done."""

    check: str
    status: Status
    says: str
    advice: str = ""


class Check(NamedTuple):
    """One subject. ``run`` may block for ``seconds``; what it raises is a failure, and ``advice`` says what to do then."""

    name: str
    seconds: float
    run: Callable[[], Sequence[Finding]]
    advice: str


def run_checks(checks: Sequence[Check]) -> list[Finding]:
    """Run all at the same time and return what they found, in their order. Blocks for the longest deadline. Never raises."""
    began = time.monotonic()
    running = [(check, _Running(check)) for check in checks]
    found: list[Finding] = []
    for check, each in running:
        each.thread.join(max(0.0, began + check.seconds - time.monotonic()))
        if each.thread.is_alive():
            found.append(Finding(check.name, "fail", f"no answer within {check.seconds:g} seconds", check.advice))
        else:
            found += each.found
    return found


class _Running:
    def __init__(self, check: Check) -> None:
        self.found: Sequence[Finding] = ()
        self._check = check
        self.thread = threading.Thread(target=self._run, name=f"doctor-{check.name}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        check = self._check
        try:
            self.found = check.run()
        except BaseException as error:  # noqa: BLE001 -- whatever it is, the other checks go on, and the user reads of it
            text = " ".join(str(error).split()) or type(error).__name__
            self.found = [Finding(check.name, "fail", text.rstrip("."), check.advice)]


def clock_finding(store: str, *, theirs: float, before: float, after: float) -> Finding:
    """Compare the clock of a store with ours: ``theirs`` was read between ``before`` and ``after``, all in seconds since 1970."""
    name = f"clock of {store}"
    off = max(0.0, before - theirs, theirs - after)
    if off <= 2.0:
        return Finding(name, "ok", "as ours, within two seconds")
    return Finding(
        name,
        "warn" if off <= 60.0 else "fail",
        f"{off:.0f} seconds {'behind' if theirs < before else 'ahead of'} ours",
        "Let both machines take their time from the same server (NTP): log time and expiry follow these clocks.",
    )
