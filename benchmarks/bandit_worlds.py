"""How much of what could be won is won? ``python -m benchmarks.bandit_worlds [--scenario S] [--only NAME] [--seeds N] [--json]``.

Seeded worlds: five triggers, six steps, four segments, three arms; success rates around 0.3 whose logits are sums of effects drawn from
Gaussians. Arms differ little as such, more by segment and step, so that between chance and the best arm of each context there are about
7.5 points. A success comes in within its window of a day (exponentially, four hours on average), a failure when it closes. Decisions come
evenly, 10,000 in 50 days. The share recovered is (won - chance) / (best - chance), worked out from the true rates and the propensities;
``late`` is that of the last tenth. Contenders keep a floor of 0.05 for each arm, the reference does not.

| scenario | what is different |
|---|---|
| ``baseline`` | nothing |
| ``drift`` | the arms' effects are dealt anew half-way through 20,000 decisions; told is the second half; the reference begins anew |
| ``cold`` | 60 segments, the n-th with a share in proportion to 1 / n |
| ``new_arm`` | four arms; the last, 5 points above the others' average, comes half-way through 20,000 decisions; told is its share since |
| ``harmful_arm`` | four arms; the last is 10 points worse than the others' average; 30,000 decisions; told is when it is stopped |
| ``null`` | all arms are the same; 30,000 decisions |

Where arms are stopped, ``stopped_others`` are those beside the harmful one, ``stopped_falsely`` those that lack less than the margin.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.bandit_contenders import BEGIN, Cells, Contender, Engine, Fixed, PartialPooling, Referee, Uniform
from benchmarks.bandit_reference import Reference
from state.catalog.yaml_text import read
from state.decision.bandit_policy import BanditPolicy
from state.duration import DAY, HOUR

Floats = NDArray[np.float64]

TRIGGERS: Final = 5
STEPS: Final = 6
MEAN: Final = -0.85
SDS: Final = {"intercept": 0.3, "arm": 0.14, "segment": 0.3, "step": 0.4, "arm_segment": 0.36, "arm_step": 0.18}
EACH: Final = 50 * DAY // 10_000
FLOOR: Final = 0.05


class World(NamedTuple):
    """True rates (trigger, arm, step, segment) in each phase, how often segments come up, from when on the last arm is there."""

    phases: list[Floats]
    segments: Floats
    decisions: int
    arrives: int = 0


def _rates(world: np.random.Generator, arms: int, segments: int, sds: dict[str, float], base: Floats | None = None) -> Floats:
    def effects(name: str, *shape: int) -> Floats:
        return world.normal(0.0, 1.0, shape) * sds[name]

    if base is None:
        base = (
            MEAN
            + effects("intercept", TRIGGERS, 1, 1, 1)
            + effects("segment", TRIGGERS, 1, 1, segments)
            + effects("step", TRIGGERS, 1, STEPS, 1)
        )
    own = (
        effects("arm", TRIGGERS, arms, 1, 1)
        + effects("arm_segment", TRIGGERS, arms, 1, segments)
        + effects("arm_step", TRIGGERS, arms, STEPS, 1)
    )
    return 1.0 / (1.0 + np.exp(-(base + own)))


def _shifted(rates: Floats, by: float) -> Floats:
    """The last arm, moved on the logit scale until its average over all contexts is ``by`` from that of the others."""
    logits = np.log(rates / (1.0 - rates))
    for trigger in range(TRIGGERS):
        wanted = rates[trigger, :-1].mean() + by
        for _ in range(50):
            now = 1.0 / (1.0 + np.exp(-logits[trigger, -1]))
            logits[trigger, -1] += (wanted - now.mean()) / (now * (1.0 - now)).mean()
    return 1.0 / (1.0 + np.exp(-logits))


def make(scenario: str, seed: int) -> World:
    """A world of ``scenario``."""
    world = np.random.default_rng([seed, 1])
    even = np.full(4, 0.25)
    if scenario == "baseline":
        return World([_rates(world, 3, 4, SDS)], even, 10_000)
    if scenario == "drift":
        base = (
            MEAN
            + world.normal(0, 0.3, (TRIGGERS, 1, 1, 1))
            + world.normal(0, 0.3, (TRIGGERS, 1, 1, 4))
            + world.normal(0, 0.4, (TRIGGERS, 1, STEPS, 1))
        )
        return World([_rates(world, 3, 4, SDS, base) for _ in range(2)], even, 20_000)
    if scenario == "cold":
        share = 1.0 / np.arange(1.0, 61.0)
        return World([_rates(world, 3, 60, SDS)], share / share.sum(), 10_000)
    if scenario == "new_arm":
        return World([_shifted(_rates(world, 4, 4, SDS), 0.05)], even, 20_000, 10_000)
    if scenario == "harmful_arm":
        return World([_shifted(_rates(world, 4, 4, SDS), -0.10)], even, 30_000)
    if scenario == "null":
        return World([_rates(world, 3, 4, {**SDS, "arm": 0.0, "arm_segment": 0.0, "arm_step": 0.0})], even, 30_000)
    raise ValueError(scenario)


SCENARIOS: Final = ("baseline", "drift", "cold", "new_arm", "harmful_arm", "null")


def contenders(world: World, seed: int, policy: BanditPolicy) -> dict[str, Callable[[], Contender]]:
    """All of them, by name, not yet made."""
    _, arms, steps, segments = world.phases[0].shape
    best = [int(each) for each in (world.phases[-1] * world.segments).sum(axis=3).mean(axis=2).argmax(axis=1)]

    def reference(**options: Any) -> Callable[[], Contender]:
        return lambda: Referee(Reference({**SDS, "mean": MEAN}, TRIGGERS, arms, steps, segments, seed=seed, **options))

    return {
        "uniform": Uniform,
        "fixed": lambda: Fixed(best),
        "global": lambda: Cells(lambda *_: (), FLOOR, seed),
        "trigger": lambda: Cells(lambda *where: where[:1], FLOOR, seed),
        "trigger_step": lambda: Cells(lambda *where: where[:2], FLOOR, seed),
        "trigger_segment": lambda: Cells(lambda *where: where[::2], FLOOR, seed),
        "independent": lambda: Cells(lambda *where: where, FLOOR, seed),
        "partial_pooling": lambda: PartialPooling(FLOOR, seed),
        "engine": lambda: Engine(policy, TRIGGERS),
        "engine_without_floor": lambda: Engine(policy.model_copy(update={"exploration_floor": 0.0}), TRIGGERS),
        "reference": reference(),
        "reference_with_floor": reference(floor=FLOOR),
        "reference_greedy": reference(greedy=True),
    }


def run(world: World, contender: Contender, seed: int, renew: Callable[[], Contender] | None = None) -> dict[str, Any]:
    """Let ``contender`` decide; ``renew`` makes the one that takes over when the world changes."""
    chance = np.random.default_rng([seed, 2])
    count, arms = world.decisions, world.phases[0].shape[1]
    triggers, steps = chance.integers(0, TRIGGERS, count), chance.integers(0, STEPS, count)
    segments = chance.choice(len(world.segments), count, p=world.segments)
    picks, lucks, delays = chance.random(count), chance.random(count), chance.exponential(4 * HOUR, count)
    won, by_chance, best, last = (np.zeros(count) for _ in range(4))
    waiting: list[tuple[int, int, int, bool]] = []
    begun = time.process_time()
    for number in range(count):
        at = BEGIN + number * EACH
        phase = number * len(world.phases) // count
        if renew and phase and number * len(world.phases) % count == 0:
            contender, waiting = renew(), []
        while waiting and waiting[0][0] <= at:
            when, which, arm, success = heappop(waiting)
            contender.observe(int(triggers[which]), arm, int(steps[which]), int(segments[which]), success, when)
        trigger, step, segment = int(triggers[number]), int(steps[number]), int(segments[number])
        eligible = range(arms if number >= world.arrives else arms - 1)
        chances = np.asarray(contender.propensities(trigger, step, segment, eligible, at))
        rates = world.phases[phase][trigger, : len(chances), step, segment]
        won[number], by_chance[number], best[number] = chances @ rates, rates.mean(), rates.max()
        last[number] = chances[-1] if len(chances) == arms else 0.0
        arm = min(int(np.searchsorted(np.cumsum(chances), picks[number], side="right")), len(chances) - 1)
        success = bool(lucks[number] < rates[arm])
        closes = at + DAY
        heappush(waiting, (min(at + int(delays[number]), closes) if success and not contender.held else closes, number, arm, success))
    since = slice(count * (len(world.phases) - 1) // len(world.phases), count)
    gap = (best[since] - by_chance[since]).sum()
    return {
        "late": 0.0 if gap <= 1e-6 else float((won - by_chance)[-count // 10 :].sum() / (best - by_chance)[-count // 10 :].sum()),
        "share": float((won[since] - by_chance[since]).sum() / gap) if gap > 1e-6 else 0.0, "gap": float(gap / (count - since.start)),
        "won": float(won[since].mean()), "last": last, "seconds": time.process_time() - begun, "stops": getattr(contender, "stops", []),
    }  # fmt: skip


def measure(scenario: str, seed: int, only: list[str], policy: BanditPolicy) -> dict[str, Any]:
    """All contenders (or ``only``) in one world."""
    world, found = make(scenario, seed), {}
    for name, builder in contenders(world, seed, policy).items():
        if only and name not in only:
            continue
        result = run(world, builder(), seed, builder if name.startswith("reference") else None)
        last, stops = result.pop("last"), result.pop("stops")
        if scenario == "new_arm":
            since = last[world.arrives :]
            windows = since[: len(since) // 500 * 500].reshape(-1, 500).mean(axis=1)
            reached = np.flatnonzero(windows >= 0.25)
            result |= {"new_share": float(since.mean()), "reaches_quarter_after": int(reached[0]) * 500 if len(reached) else None}
            result["by_2000"] = [round(float(each), 3) for each in since.reshape(-1, 2_000).mean(axis=1)]
        if scenario in ("harmful_arm", "null", "baseline"):
            bad = world.phases[0].shape[1] - 1
            right = [(at - BEGIN) // EACH for _, arm, at in stops if scenario == "harmful_arm" and arm == bad]
            means = (world.phases[0] * world.segments).sum(axis=3).mean(axis=2)
            gone: set[tuple[int, int]] = set()
            falsely = 0
            for trigger, arm, _ in stops:
                others = [other for other in range(bad + 1) if other != arm and (trigger, other) not in gone]
                falsely += bool(means[trigger, arm] > means[trigger, others].mean() - policy.harm_margin)
                gone.add((trigger, arm))
            result |= {"stopped_at": sorted(right), "stopped_others": len(stops) - len(right), "stopped_falsely": falsely}
            if scenario == "harmful_arm":
                result["last_share"] = float(last.mean())
        found[name] = result
    return found


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="of state/decision/bandit_policy.py")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    policy = BanditPolicy.model_validate(read("\n".join(each.replace("=", ": ", 1) for each in arguments.set)).data or {})
    report: dict[str, Any] = {}
    for scenario in arguments.scenario or SCENARIOS:
        runs = [measure(scenario, seed, arguments.only, policy) for seed in range(arguments.seeds)]
        report[scenario] = {name: [each[name] for each in runs] for name in runs[0]}
    if arguments.json:
        print(json.dumps(report))
        return
    for scenario, by_name in report.items():
        print(f"\n{scenario}: gap {statistics.mean(each['gap'] for each in next(iter(by_name.values()))):.3f}")
        for name, results in by_name.items():
            shares = [each["share"] for each in results]
            error = statistics.stdev(shares) / len(shares) ** 0.5 if len(shares) > 1 else float("nan")
            seconds = statistics.mean(each["seconds"] for each in results)
            late = statistics.mean(each["late"] for each in results)
            print(
                f"  {name:22s} {statistics.mean(shares):6.3f} ± {error:.3f}  late {late:5.2f}  {seconds:5.1f} s  "
                + " ".join(f"{each:.2f}" for each in shares)
            )
            for field in ("new_share", "reaches_quarter_after", "by_2000", "stopped_at", "stopped_others", "stopped_falsely", "last_share"):
                if field in results[0]:
                    print(
                        f"    {field}: "
                        + " ".join(str(round(each[field], 3) if isinstance(each[field], float) else each[field]) for each in results)
                    )


if __name__ == "__main__":
    main()
