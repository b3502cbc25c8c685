"""Simulated input for the whole job, with what people without guidance do not send: showings, visitors, deletions, bad and late lines."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from benchmarks.replication import InProcessPopulation
from flows.catalogs import load_catalog
from sources.closed_loop import START, Begin, describe, unguided
from state.duration import DAY

SHOWN, CLICKED, DISMISSED = 0.15, 0.25, 0.2
"""Share of events upon which an app reports a showing, and of showings that are answered so."""

BAD = (b"{", b"[]", b'{"eventId": "b"}', b'"text"', b"\xff\xfe", b"")


def write_population(path: Path, users: int, days: int, seed: int) -> int:
    """Write the events of ``users`` people as JSON lines; return how many lines. The same arguments give the same bytes."""
    lines = list(population(users, days, seed))
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return len(lines)


@cache
def simulated(users: int, days: int, seed: int) -> tuple[bytes, ...]:
    """The lines of people whose network is messy, and what an app reports that shows them whatever recommendation is the current one."""
    begin = Begin("messy", seed, users, START, START + days * DAY, describe(load_catalog("saas")))
    rng, lines = Random(seed), list[bytes]()
    for slot in unguided(InProcessPopulation(), begin):
        for _, line in slot.events:
            lines.append(line)
            if rng.random() < SHOWN:
                answer = rng.random()
                answers = ["clicked"] if answer < CLICKED else ["dismissed"] if answer < CLICKED + DISMISSED else []
                event = msgspec.json.decode(line)
                for what in ("shown", *answers):
                    lines.append(_extra(event, f"{what}-{len(lines)}", event["userId"], f"recommendation_{what}", {}))
    return tuple(lines)


def population(users: int, days: int, seed: int) -> list[bytes]:
    """The lines. Every seventh person begins as a visitor, who sends on under the old id for a while; every thirtieth is deleted."""
    rng = Random(seed)
    lines: list[bytes] = []
    sent: dict[str, int] = {}
    for line in simulated(users, days, seed):
        event: dict[str, Any] = json.loads(line)
        user = event["userId"]
        count = sent[user] = sent.get(user, 0) + 1
        number = int("".join(filter(str.isdigit, user)) or "0")
        if number % 7 == 0:
            if count in (2, 3, 4, 9, 10):
                event["anonymousId"] = f"cookie-{user}"
                del event["userId"]
            if count == 5:
                lines.append(_extra(event, f"merge-{user}", user, "identity_merged", {"previousId": f"cookie-{user}"}))
        lines.append(json.dumps(event).encode())
        if number % 30 == 7 and count == 40:
            lines.append(_extra(event, f"delete-{user}", user, "user_deleted", {}))
        if number % 25 == 3 and count == 20:
            lines.append(_extra(event, f"prefer-{user}", user, "preferences_changed", {"guidance": False}))
        if rng.random() < 0.003:
            lines.append(rng.choice(BAD))
        if rng.random() < 0.002:
            late = _extra(event, f"late-{len(lines)}", user, "page_view", {"path": "/home"})
            lines.append(late.replace(b"2026-", b"2025-"))
    return lines


def _extra(event: dict[str, Any], id: str, user: str, kind: str, payload: dict[str, Any]) -> bytes:  # noqa: A002
    return msgspec.json.encode({"eventId": id, "userId": user, "eventType": kind, "timestamp": event["timestamp"], "payload": payload})


def with_bad_lines(users: int, days: int, seed: int) -> list[bytes]:
    """What ``simulated`` gives, and among it a bad line for about sixty good ones."""
    rng = Random(seed)
    return [each for line in simulated(users, days, seed) for each in ([line, rng.choice(BAD)] if rng.random() < 1 / 60 else [line])]
