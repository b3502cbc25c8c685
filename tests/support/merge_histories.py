"""Random histories of visitors who are merged, and what a job in memory has written about them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random

from state.duration import DAY, HOUR, MINUTE
from state.records.facts import PersonFact
from state.records.recommendation import Erase
from tests.support.memory_job import Job
from tests.support.stories import Log

VISITORS, USERS = ("v1", "v2", "v3", "v4"), ("u1", "u2")
HISTORIES = 60
Id = tuple[str, str]
"""Tenant and id."""


def histories(seed: int) -> Log:
    """Random histories, each of a tenant of its own.

    Visitors name each other and are named by users, in any order and by several; some merges are refused, late or repeated, some ids have
    no other event, some ids of visitors turn out to be a user's, and some people are deleted and come again.
    """
    chance, log = Random(seed), Log()
    at = 3 * DAY
    for number in range(HISTORIES):
        tenant = f"history-{seed}-{number}"
        for who in (*VISITORS, *USERS):
            if chance.random() < 0.6:
                log.send(at, who, "page_view", visitor=who in VISITORS, tenant=tenant, path="/pricing")
        for _ in range(chance.randint(3, 12)):
            at += chance.choice([MINUTE, 20 * MINUTE, HOUR])
            who = chance.choice((*VISITORS, *USERS, *USERS))
            visitor = who in VISITORS
            match chance.choices(["track", "merge", "late", "as a user", "deletion"], [4, 6, 2, 0.4, 0.5])[0]:
                case "track":
                    log.send(at, who, "track", visitor=visitor, tenant=tenant, name="source_connected", status="connected")
                case "merge":
                    log.send(at, who, "identity_merged", visitor=visitor, tenant=tenant, previousId=chance.choice(VISITORS))
                case "late":
                    named = chance.choice(VISITORS)
                    log.send(at, who, "identity_merged", visitor=visitor, tenant=tenant, timestamp=at - 3 * DAY, previousId=named)
                case "as a user":
                    log.send(at, chance.choice(VISITORS), "page_view", tenant=tenant, path="/home")
                case _:
                    log.send(at, who, "user_deleted", visitor=visitor, tenant=tenant)
                    log.send(at + MINUTE, who, "signup", visitor=visitor, tenant=tenant)
    return log


def erasures(job: Job) -> dict[Id, Erase]:
    """The newest of everybody who was deleted."""
    rows = sorted((row for row in job.facts.items if isinstance(row, Erase)), key=lambda row: row.version)
    return {(row.tenant_id, row.user_id): row for row in rows}


def left(job: Job) -> dict[Id, PersonFact]:
    """The newest row of each person, without those that a deletion removed."""
    rows = sorted((row for row in job.facts.items if isinstance(row, PersonFact)), key=lambda row: row.version)
    newest, erased = {(row.tenant_id, row.user_id): row for row in rows}, erasures(job)
    return {key: row for key, row in newest.items() if key not in erased or row.version >= erased[key].version}


def ran(log: Log, store: Path, *, batch_size: int = 50, workers: int = 1) -> Job:
    job = Job(log.items, store, batch_size=batch_size)
    job.run(workers=workers, epoch=timedelta(hours=1))
    return job
