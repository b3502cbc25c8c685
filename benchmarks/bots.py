"""Measures bot detection: ``python -m benchmarks.bots --seeds 1000-1007``.

The scenario ``bots`` adds one automated account for every twenty people. Each seed is one replication (``benchmarks.replication``) on the
catalog ``benchmarks/trial.yaml``. Figures over all seeds:

- *people marked*: people who counted as a bot at any moment, whether a decision fell into it or not, and those who still did at the end;
- *alarms for machines*: alarms for automated accounts, as a share of all alarms, by what the machine does;
- *alarms for people*: how many there were, to compare two settings: suspicion costs the alarms of people who look like machines.

``--json`` prints one line for each seed instead, as soon as it is measured.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

from typing_extensions import override

from benchmarks.measure import CATALOG
from benchmarks.replication import ReplicationConfig, argument_parser, configs_of, over_seeds, print_line, relax_gc, replicate
from evaluation.episodes import first_alarms
from evaluation.offline_runner import OfflineRunner
from state.catalog.plan import Plan
from state.ids import Keys
from state.messages import Message
from state.person.person import Person

_QUICK_LIFE: Final = 5 * 60_000
_FEW_PAGES: Final = 6


class WatchingRunner(OfflineRunner):
    """Remembers who was ever marked as a bot."""

    def __init__(self, plan: Plan, keys: Keys) -> None:
        super().__init__(plan, keys)
        self.marked: set[str] = set()

    @override
    def message(self, message: Message) -> None:
        """Process one message; then look at the person it was about."""
        super().message(message)
        if self.last is not None and self.last.bot:
            self.marked.add(self.last.user)

    def everyone(self) -> list[Person]:
        """All people in their present state."""
        return list(self._people.values())


def measure(config: ReplicationConfig) -> dict[str, Any]:
    """Run one replication and count."""
    relax_gc()
    runners: list[WatchingRunner] = []

    def make(plan: Plan, keys: Keys) -> WatchingRunner:
        runners.append(WatchingRunner(plan, keys))
        return runners[0]

    run = replicate(config, make_runner=make)
    job = runners[0]
    humans = {person.user_id for person in run.truth.people if not person.bot}
    alarms = first_alarms(run.evidence.signals)["user_id"].to_list()
    lives = {person.user: person for person in job.everyone()}
    return {
        "seed": config.seed,
        "humans": len(humans),
        "humansMarked": len(job.marked & humans),
        "humansMarkedAtEnd": sum(person.bot for user, person in lives.items() if user in humans),
        "machines": len(lives) - len(humans & set(lives)),
        "machinesMarked": len(job.marked - humans),
        "alarmsForHumans": sum(user in humans for user in alarms),
        "alarmsForMachines": dict(Counter(_what(lives[user]) for user in alarms if user not in humans)),
    }


def _what(person: Person) -> str:
    """Describe a machine by its life: how long it lasted, and whether it did more than view pages."""
    if person.session_to - person.first_seen < _QUICK_LIFE:
        return "ran once"
    fresh = 0 if person.rhythm is None else person.rhythm.fresh
    return "few pages again and again" if fresh <= _FEW_PAGES else "many pages"


def summarise(rows: list[dict[str, Any]]) -> None:
    """Print the figures over all seeds."""
    total: Counter[str] = Counter()
    by_kind: Counter[str] = Counter()
    for row in rows:
        by_kind.update(row["alarmsForMachines"])
        total.update({name: count for name, count in row.items() if isinstance(count, int) and name != "seed"})
    wrong = by_kind.total()
    humans, alarms = max(total["humans"], 1), max(total["alarmsForHumans"] + wrong, 1)
    print_line(f"people: {total['humans']:,}, machines: {total['machines']:,}, of which {total['machinesMarked']:,} were marked")
    print_line(
        f"people marked: {total['humansMarked']} ({total['humansMarked'] / humans:.3%}), at the end {total['humansMarkedAtEnd']}"
        f" ({total['humansMarkedAtEnd'] / humans:.3%})"
    )
    kinds = ", ".join(f"{kind}: {count}" for kind, count in by_kind.most_common())
    print_line(f"alarms for machines: {wrong} of {alarms:,} ({wrong / alarms:.2%})" + (f"; {kinds}" if kinds else ""))
    print_line(f"alarms for people: {total['alarmsForHumans']:,} ({total['alarmsForHumans'] / humans:.4f} a person)")


def main() -> None:
    """Run the replications and print."""
    parser = argument_parser(__doc__.partition("\n")[0], users=3000, days=14)
    parser.set_defaults(catalog=CATALOG, scenario="bots")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for _, row in over_seeds(measure, configs_of(given), given.jobs):
        rows.append(row)
        if given.json:
            print_line(json.dumps(row))
    if not given.json:
        summarise(rows)


if __name__ == "__main__":
    main()
