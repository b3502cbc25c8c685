"""What another thread may meet: it runs between any two steps of a call, so a test does the same, one step after the other."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import count
from threading import Thread
from types import FrameType, ModuleType
from typing import Any, Final, TypeVar

from tests.support.waiting import join

T = TypeVar("T")

_MOMENT: Final = 0.01
"""Seconds that the other thread gets where it must wait for the first one to end. Most calls take a thousandth of it."""


def before_every_step(call: Callable[[], T], module: ModuleType, then: Callable[[int], object]) -> T:
    """Return what ``call`` returns. Before every step (opcode) of the code of ``module`` in it, run ``then`` with the step's number."""
    steps, traced = count(), sys.gettrace()
    assert str(module.__file__).endswith(".py"), "compiled code has no steps: mark the test `interpreted`"

    def trace(frame: FrameType, what: str, _: object) -> Any:
        if frame.f_code.co_filename != module.__file__:
            return None
        frame.f_trace_opcodes = True
        if what == "opcode":
            then(next(steps))
        return trace

    sys.settrace(trace)
    try:
        return call()
    finally:
        sys.settrace(traced)


def steps_of(call: Callable[[], object], module: ModuleType) -> int:
    """How many steps ``call`` takes in ``module``."""
    last = [0]

    def note(step: int) -> None:
        last[0] = step + 1

    before_every_step(call, module, note)
    return last[0]


def beside(call: Callable[[], object], other: Callable[[], object], module: ModuleType, step: int) -> None:
    """Run ``call``. At its step ``step`` in ``module`` a thread begins ``other``: it ends there and then, unless ``call`` makes it wait."""
    thread = Thread(target=other, daemon=True)

    def begin(now: int) -> None:
        if now == step:
            thread.start()
            thread.join(_MOMENT)

    before_every_step(call, module, begin)
    join(thread, "the other call")
