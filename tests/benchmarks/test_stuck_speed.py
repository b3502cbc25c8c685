"""The log of ``benchmarks.stuck.speed`` in a hundredth of the time."""

from __future__ import annotations

import json

from benchmarks.stuck.speed import squeezed


def test_a_squeezed_log_keeps_the_order_the_offsets_and_everything_but_the_times() -> None:
    times = ["2026-03-01T00:00:00+01:00", "2026-03-01T00:00:00Z", "2026-03-05T03:00:00.500+01:00"]
    lines = [json.dumps({"eventId": str(number), "timestamp": time}).encode() for number, time in enumerate(times)]
    assert [json.loads(line) for line in squeezed(lines)] == [
        {"eventId": "0", "timestamp": "2026-03-01T00:00:00+01:00"},
        {"eventId": "1", "timestamp": "2026-02-28T23:00:36+00:00"},
        {"eventId": "2", "timestamp": "2026-03-01T00:59:24.005000+01:00"},
    ]
