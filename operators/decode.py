"""decode: raw messages become events under their people's keys; what cannot is a dead letter with its reason."""

from __future__ import annotations

from typing import NamedTuple

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream

from operators.select import only
from state.events import Event, decode
from state.ids import Keys
from state.messages import Message, Tick
from state.records.dead_letter import DeadLetter
from state.stream_items import Count, Merged

Arrival = Event | Merged
Decoded = Event | DeadLetter | Tick | Count


class DecodedStreams(NamedTuple):
    """Where the input goes: ``events`` by person, ``rejected`` messages, ``ticks`` of log time, and ``counts`` of what was read."""

    events: KeyedStream[Arrival]
    rejected: Stream[DeadLetter]
    ticks: Stream[Tick]
    counts: Stream[Count]


def decode_messages(batch: list[Message | Tick]) -> list[Decoded]:
    """Decode one batch, in order. Never raises for anything a sender can do."""
    decoded: list[Decoded] = [item if type(item) is Tick else decode(item) for item in batch]  # type: ignore[arg-type]
    if read := sum(type(item) is not Tick for item in batch):
        decoded.append(Count("read", by=read))
    return decoded


class Addressing:
    """Finds the key of each event. A merge concerns two people: the visitor that was, and the user that is."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def __call__(self, batch: list[Decoded]) -> list[tuple[str, Arrival]]:
        """Return the events of a batch under their keys."""
        address = self._keys.stream_key
        addressed: list[tuple[str, Arrival]] = []
        for item in batch:
            if type(item) is Event:
                addressed.append((address(item.tenant, item.user), item))
                if item.type == "identity_merged" and (previous := str(item.payload["previousId"])) != item.user:
                    merged = Merged(item.tenant, previous, item.user, item.timestamp, item.log_time, item.partition, item.seq)
                    addressed.append((address(item.tenant, previous), merged))
        return addressed


def decode_step(step_id: str, up: Stream[Message | Tick], keys: Keys) -> DecodedStreams:
    """Decode ``up`` and part it."""
    decoded = op.flat_map_batch(f"{step_id}_json", up, decode_messages)

    return DecodedStreams(
        events=op.flat_map_batch(f"{step_id}_events", decoded, Addressing(keys)),
        rejected=only(f"{step_id}_rejected", decoded, DeadLetter),
        ticks=only(f"{step_id}_ticks", decoded, Tick),
        counts=only(f"{step_id}_counts", decoded, Count),
    )
