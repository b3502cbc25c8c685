"""Who pays for a call: the first wish of those that share it to end. A wish that is given up pays where nobody else is left.

What a call costs is known to the lanes' threads from the moment it is sent, as the estimate that the budget holds, so that the row of a
wish that is given up tells what may be billed without waiting for anything.
"""

from __future__ import annotations

import threading
import time
from typing import Final

import msgspec

from llm.answer import Answer
from state.decision.wording_request import Wish


class Spent(msgspec.Struct, frozen=True, gc=False):
    """What a call that was sent costs, or may cost while it is under way. ``since``: the monotonic second it was sent at."""

    input_tokens: int
    output_tokens: int
    cost_micros: int
    attempts: int
    since: float


class Bill:
    """One call. ``spent`` is None until it is sent."""

    def __init__(self, key: str) -> None:
        self.key: Final = key
        self.spent: Spent | None = None
        self.riders: set[object] = set()
        self.payer: object = None


class Seat(msgspec.Struct, frozen=True, eq=False):
    """A wish's part in a call."""

    bill: Bill


class Bills:
    """The bills of the calls in flight. ``give_up`` may be called from any thread, the rest from the event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[str, Bill] = {}
        self._seats: dict[tuple[str, str], Seat] = {}

    def join(self, key: str, wish: Wish, *, flying: bool) -> Seat:
        """Take a seat in the call of ``key``; ``flying``: it is under way already."""
        with self._lock:
            bill = self._flying.get(key) if flying else None
            if bill is None:
                bill = self._flying[key] = Bill(key)
            seat = self._seats[_name(wish)] = Seat(bill)
            bill.riders.add(seat)
        return seat

    def pays(self, seat: Seat) -> bool:
        """Whether this wish, whose call has ended, pays for it."""
        with self._lock:
            if seat.bill.payer is None and seat in seat.bill.riders:
                seat.bill.payer = seat
            return seat.bill.payer is seat

    def give_up(self, wish: Wish) -> Answer | None:
        """What a wish that ends here has come to, without a reason: the cost of its call, or none where the call goes on for others.

        None where nothing was sent. The wish must end after this, the sooner the better.
        """
        with self._lock:
            seat = self._seats.get(_name(wish))
            if seat is None:
                return None
            bill = seat.bill
            bill.riders.discard(seat)
            if bill.spent is None:
                return None
            if bill.payer is None and not bill.riders:
                bill.payer = seat
            spent, took = bill.spent, round((time.monotonic() - bill.spent.since) * 1000)
            if bill.payer is not seat:
                return Answer(source="coalesced", latency_ms=took)
        return Answer(
            source="call", input_tokens=spent.input_tokens, output_tokens=spent.output_tokens, cost_micros=spent.cost_micros,
            latency_ms=took, attempts=spent.attempts,
        )  # fmt: skip

    def leave(self, wish: Wish, seat: Seat) -> None:
        """Forget a wish that has ended, and its call with the last of them."""
        with self._lock:
            bill = seat.bill
            bill.riders.discard(seat)
            if self._seats.get(_name(wish)) is seat:
                del self._seats[_name(wish)]
            if not bill.riders and self._flying.get(bill.key) is bill:
                del self._flying[bill.key]

    def __len__(self) -> int:
        """Wishes that have a part in a call."""
        return len(self._seats)


def _name(wish: Wish) -> tuple[str, str]:
    return wish.record.tenant_id, wish.record.decision_id
