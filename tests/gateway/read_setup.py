"""A gateway with a Valkey, a clock and a signing key, for tests of what apps read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from gateway.tokens import mint
from sinks.redis.writer import RecommendationWriter, WritePolicy
from state.records.progress import progress_key
from state.records.recommendation import Effect
from tests.support.gateway import Gateway, run_gateway
from tests.support.valkey import Valkey, run_valkey
from tests.support.waiting import PATIENCE

NOON = 1_767_268_800
"""2026-01-01T12:00:00Z: the sample records are in force."""


@dataclass
class Clock:
    now: float = NOON

    def __call__(self) -> int:
        return round(self.now * 1000)


@dataclass
class Setup:
    gateway: Gateway
    valkey: Valkey
    clock: Clock
    writer: RecommendationWriter
    secret: str
    key_id: str

    def write(self, *effects: Effect) -> None:
        self.writer.write(effects)

    def token(self, user: str = "ana", seconds: int = 900) -> str:
        return mint(self.secret, key_id=self.key_id, tenant="acme", user=user, now=self.clock.now, seconds=seconds)

    def progress(self, user: str, version: int, **more: Any) -> None:
        client = redis.Redis.from_url(self.valkey.url)
        client.set(progress_key("acme", user), json.dumps({"version": version, "path": "p", "steps": [], "nextStep": None, **more}))
        client.publish("onramp:updates:acme", user)
        client.close()


@contextmanager
def running(directory: Path, **parts: Any) -> Iterator[Setup]:
    clock = Clock()
    with run_valkey(directory) as valkey, run_gateway(directory, redis_url=lambda: valkey.url, clock=clock, **parts) as gateway:
        writer = RecommendationWriter(valkey.url, WritePolicy(give_up_seconds=PATIENCE))
        key, secret = gateway.store.create("signing", tenant="acme")
        try:
            yield Setup(gateway, valkey, clock, writer, secret, key.id)
        finally:
            writer.close()
