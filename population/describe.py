"""``python -m population.describe``: describes untreated people, and how well stuck people can be recognised without the engine's detector.

Prints activation, prevalence, horizons, completion times, fixed timeouts, the informed observer (``observer.py``), size and speed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from population.clock import DAY, HOUR, MINUTE
from population.observer import Observer, at_recall, features
from population.product import Product
from population.scenarios import SCENARIOS
from population.simulation import Population
from population.world import UntreatedEpisode, World

START: Final = 1_772_409_600_000
SAMPLE: Final = Path(__file__).with_name("sample.json")
SHARES: Final = (1 / 8, 1 / 4, 3 / 8, 1 / 2)
RECALL: Final = 0.8


def untreated_episodes(product: Product, scenario: str, seed: int, users: int, days: int) -> tuple[World, list[list[UntreatedEpisode]]]:
    """Return a world and, for each of its first ``users`` people, the episodes without guidance."""
    world = World(product, scenario, seed, START, START + days * DAY)
    return world, [list(world.untreated(world.person(number))) for number in range(users)]


def is_positive(episode: UntreatedEpisode, horizons: dict[str, int]) -> bool:
    """Return whether the step is not completed within its horizon."""
    done = episode.trajectory.completed_at
    return done is None or done - episode.since > horizons[episode.step]


def labelled_features(
    people: list[list[UntreatedEpisode]], horizons: dict[str, int], share: float
) -> tuple[list[list[float]], list[bool], int]:
    """Return features and labels of the episodes still open after ``share`` of the horizon, and the number of all positives."""
    rows, truth, positives = list[list[float]](), list[bool](), 0
    for episode in (episode for episodes_of_person in people for episode in episodes_of_person):
        horizon = horizons[episode.step]
        tau, done, positive = int(share * horizon), episode.trajectory.completed_at, is_positive(episode, horizons)
        positives += positive
        if done is None or done - episode.since > tau:
            rows.append(features(episode, tau, horizon))
            truth.append(positive)
    return rows, truth, positives


def describe(product: Product, scenario: str, seed: int, users: int, days: int, write: Callable[[str], object]) -> None:
    """Write the description line by line."""
    world, people = untreated_episodes(product, scenario, seed, users, days)
    _, training = untreated_episodes(product, scenario, seed + 1000, users, days)
    horizons, episodes = world.horizons(), [episode for episodes_of_person in people for episode in episodes_of_person]
    write(f"{scenario}, seed {seed}, {users} people, {len(episodes)} untreated episodes")
    _write_behaviour(world, people, episodes, write)
    prevalence = sum(is_positive(episode, horizons) for episode in episodes) / len(episodes)
    write(f"positives (not completed within H): {prevalence:.1%}")
    for share in SHARES:
        rows, truth, positives = labelled_features(people, horizons, share)
        training_rows, training_truth, _ = labelled_features(training, horizons, share)
        precision, recall = at_recall(Observer(training_rows, training_truth)(rows), truth, positives, RECALL)
        write(
            f"after {share:.3f} H: timeout precision {sum(truth) / len(truth):.3f} recall {sum(truth) / positives:.3f};"
            f" informed observer precision {precision:.3f} recall {recall:.3f}"
        )
    _write_speed(product, scenario, seed, users, days, write)


def _write_behaviour(
    world: World, people: list[list[UntreatedEpisode]], episodes: list[UntreatedEpisode], write: Callable[[str], object]
) -> None:
    activated, in_a_week, with_path = 0, 0, 0
    for episodes_of_person in people:
        if not episodes_of_person:
            continue
        with_path += 1
        person = episodes_of_person[0].person
        last = episodes_of_person[-1].trajectory.completed_at
        if last is not None and person.path is not None and world.goal[person.path.id] <= {episode.step for episode in episodes_of_person}:
            activated += 1
            in_a_week += last - person.signup_at <= 7 * DAY
    write(f"activated {activated / with_path:.1%}, within 7 days of sign-up {in_a_week / with_path:.1%} (of people on a path)")
    horizons = world.horizons()
    for step in world.environment:
        some = [episode for episode in episodes if episode.step == step]
        times = sorted(s.trajectory.completed_at - s.since for s in some if s.trajectory.completed_at is not None)
        if times:
            quantiles = "  ".join(f"{name} {_span(times[int(part * (len(times) - 1))])}" for name, part in _QUANTILES)
            positive = sum(is_positive(episode, horizons) for episode in some) / len(some)
            shares = f"started {len(some):5}  done {len(times) / len(some):.0%}  positive {positive:.0%}"
            write(f"  {step:18} {shares}  H {_span(horizons[step])}  {quantiles}")
    causes: dict[str, int] = {}
    for episode in episodes:
        causes[str(episode.trajectory.cause)] = causes.get(str(episode.trajectory.cause), 0) + 1
    write("  causes: " + "  ".join(f"{cause} {count / len(episodes):.1%}" for cause, count in sorted(causes.items())))


_QUANTILES: Final = (("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p97", 0.97))


def _write_speed(product: Product, scenario: str, seed: int, users: int, days: int, write: Callable[[str], object]) -> None:
    began = time.process_time()
    population = Population()
    line: dict[str, Any] = {"protocol": 1, "scenario": scenario, "seed": seed, "users": users, "start": START, "end": START + days * DAY}
    slot = population.begin(line | {"product": msgspec.to_builtins(product)})["slotMs"]
    at: int | None = START
    events = 0
    while at is not None:
        arrived, _, at = population.advance(at, at + slot, {})
        events += len(arrived)
    simulated = time.process_time()
    sum(1 for _ in population.finish())
    truth_seconds = time.process_time() - simulated
    speed = events / (simulated - began)
    write(f"{events} events, {events / users:.1f} a person; {speed:,.0f} a second of CPU; the truth takes {truth_seconds:.1f} s more")


def _span(milliseconds: float) -> str:
    if milliseconds < 90 * MINUTE:
        return f"{milliseconds / MINUTE:.1f}m"
    return f"{milliseconds / HOUR:.1f}h" if milliseconds < 3 * DAY else f"{milliseconds / DAY:.1f}d"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m population.describe", description="Describe untreated people.")
    parser.add_argument("--scenario", choices=SCENARIOS, default="baseline")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--users", type=int, default=3000)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--product", type=Path, default=SAMPLE, help="a PRODUCT as JSON (default: a small one)")
    given = parser.parse_args()
    product = msgspec.json.decode(given.product.read_bytes(), type=Product)
    describe(product, given.scenario, given.seed, given.users, given.days, lambda line: sys.stdout.write(line + "\n"))


if __name__ == "__main__":
    main()
