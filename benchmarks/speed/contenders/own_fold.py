"""This project's own decoder and fold, for the contenders in this project's environment: ``core`` with ``--fold own``.

There are no timers and no links between visitors and users here, as those are steps of the graph and not part of the fold.
"""

from __future__ import annotations

from flows.catalogs import load_catalog
from state.catalog.plan import Plan
from state.decode import decode
from state.event import Event
from state.ids import Keys
from state.messages import Message
from state.person import snapshot
from state.person.collector import Collector
from state.person.fold import Fold
from state.person.person import Person


class OwnFold:
    """Decodes and folds. One object for each process."""

    def __init__(self) -> None:
        """Load the catalog ``saas``."""
        self.keys = Keys(b"benchmark")
        self._fold = Fold(Plan(load_catalog("saas")), self.keys)

    def decode(self, message: Message) -> tuple[str, Event] | None:
        """Return the event with its stream key, None if it is not valid."""
        event = decode(message)
        return (self.keys.stream_key(event.tenant, event.user), event) if isinstance(event, Event) else None

    def apply(self, key: str, person: Person | None, event: Event) -> tuple[Person | None, int]:
        """Return the new state and the number of outputs."""
        out = Collector(key)
        out.begin(event.seq)
        person = self._fold.apply(person, event, out)
        return person, len(out.rows) + len(out.requests) + len(out.effects)

    encode_person = staticmethod(snapshot.encode)
    decode_person = staticmethod(snapshot.decode)
