"""Reads the sealed truth of a simulated population, which the engine never sees: JSON lines of the population protocol, version 1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import polars as pl

from state.quantity import count


class TruthError(ValueError):
    """The truth cannot be read; the message names the line and the reason. Not retryable: the population program wrote it."""


class Episode(msgspec.Struct, frozen=True, rename="camel"):
    """One person at one step, from becoming current (``since``) to completion.

    ``untreated_at``: completion without guidance; None: never.
    """

    step: str
    since: int
    onset: int
    completed_at: int | None = None
    untreated_at: int | None = None
    cause: str | None = None


class Exposure(msgspec.Struct, frozen=True, rename="camel"):
    """One shown recommendation. ``expected``: arm -> probability of completion within the attribution window, had that arm been shown."""

    decision_id: str
    recommendation_id: str
    trigger: str
    step: str
    segment: str
    arm: str
    shown_at: int
    expected: dict[str, float]


class Untreated(msgspec.Struct, frozen=True, rename="camel"):
    """The untreated twin: the same person without guidance. ``activated_at`` None: never."""

    activated_at: int | None = None


class Person(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="person"):
    """One person with guidance, and their untreated twin."""

    user_id: str
    bot: bool
    signup_at: int
    path: str | None = None
    traits: dict[str, Any] = {}
    activated_at: int | None = None
    untreated: Untreated = Untreated()
    episodes: tuple[Episode, ...] = ()
    exposures: tuple[Exposure, ...] = ()


class World(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="world"):
    """``horizons``: step -> H_s (ms), the 90th percentile of completion time among untreated completers."""

    horizons: dict[str, int]
    prior: dict[str, Any] | None = None
    changed_at: int | None = None


class Done(msgspec.Struct, frozen=True, tag_field="type", tag="done"):
    """The last line. ``people``: number of person lines."""

    people: int


class SealedTruth(msgspec.Struct, frozen=True):
    """The people and the world that the population program wrote at the end."""

    people: tuple[Person, ...]
    world: World

    def persons(self) -> pl.DataFrame:
        """Return one row per person: ``user_id bot signup_at activated_at twin_activated_at`` (null: never)."""
        return pl.DataFrame(
            {
                "user_id": [p.user_id for p in self.people],
                "bot": [p.bot for p in self.people],
                "signup_at": [p.signup_at for p in self.people],
                "activated_at": [p.activated_at for p in self.people],
                "twin_activated_at": [p.untreated.activated_at for p in self.people],
            },
            schema={
                "user_id": pl.String(),
                "bot": pl.Boolean(),
                "signup_at": pl.Int64(),
                "activated_at": pl.Int64(),
                "twin_activated_at": pl.Int64(),
            },
        )

    def episodes(self) -> pl.DataFrame:
        """Return one row per episode: ``user_id bot step_id since onset completed_at untreated_at cause`` (null: never, or no cause)."""
        rows = [
            (p.user_id, p.bot, e.step, e.since, e.onset, e.completed_at, e.untreated_at, e.cause) for p in self.people for e in p.episodes
        ]
        return pl.DataFrame(
            rows,
            schema={
                "user_id": pl.String(),
                "bot": pl.Boolean(),
                "step_id": pl.String(),
                "since": pl.Int64(),
                "onset": pl.Int64(),
                "completed_at": pl.Int64(),
                "untreated_at": pl.Int64(),
                "cause": pl.String(),
            },
            orient="row",
        )

    def exposures(self) -> list[Exposure]:
        """Return all exposures in order of showing."""
        return sorted((e for p in self.people for e in p.exposures), key=lambda e: (e.shown_at, e.decision_id))


_decoder = msgspec.json.Decoder(Person | World | Done)


def read_truth(lines: Iterable[str | bytes]) -> SealedTruth:
    """Read the lines between ``finish`` and the end, ``done`` included. Raises ``TruthError``."""
    people: list[Person] = []
    world: World | None = None
    done: Done | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = _decoder.decode(line)
        except ValueError as error:
            raise TruthError(f"line {number} of the truth: {error}") from error
        if isinstance(record, Person):
            people.append(record)
        elif isinstance(record, World):
            world = record
        else:
            done = record
    if world is None:
        raise TruthError("the truth has no world line: the horizons are missing")
    if done is None or done.people != len(people):
        counted = "is missing" if done is None else f"counts {count(done.people, 'person', 'people')}"
        raise TruthError(f"the truth is incomplete: its last line {counted}, and {count(len(people), 'was', 'were')} read")
    return SealedTruth(people=tuple(people), world=world)
