"""Compares learners in synthetic worlds: ``python -m benchmarks.bandit_worlds [--scenario S] [--only NAME] [--seeds N] [--json]``.

A world has five triggers, six steps, four segments and three arms. Success rates lie around 0.3; their logits are sums of Gaussian effects.
Arms differ little on average and more by segment and step: the best arm of each context is about 7.5 points better than uniform choice.
Learners learn an outcome when its attribution window of a day closes. There are 10,000 decisions, evenly spread over 50 days.

``share`` is the part of the possible gain that a learner reaches, (reward - uniform) / (best - uniform), computed from the true rates and
the propensities; ``late`` is the same over the last tenth. Every learner keeps an exploration floor of 0.05 for each arm.

| scenario | difference |
|---|---|
| ``baseline`` | none |
| ``drift`` | the arms' effects are drawn again after half of 20,000 decisions; ``share`` covers the second half |
| ``wander`` | the arms' effects move evenly to others drawn, over 20,000 decisions; ``share`` covers the second half |
| ``repeats`` | half of the decisions are for a person who saw an arm within three days; it is worth 0.25 logits less, and recovers |
| ``cold`` | 60 segments; the n-th has a share in proportion to 1 / n |
| ``new_arm`` | four arms; the last, 5 points above the others' average, arrives after half of 20,000 decisions; prints its share |
| ``harmful_arm`` | four arms; the last is 10 points below the others' average; 30,000 decisions; prints when it is stopped |
| ``null`` | all arms are equal; 30,000 decisions |

``stopped_others`` counts the stopped arms beside the harmful one, ``stopped_falsely`` those that are worse by less than the margin.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.bandit_contenders import Cells, Contender, Engine, Uniform
from state.catalog.yaml_text import read
from state.decision.bandit_policy import BanditPolicy
from state.duration import DAY

Floats = NDArray[np.float64]

BEGIN: Final = 1_772_442_000_000
TRIGGERS: Final = 5
STEPS: Final = 6
MEAN: Final = -0.85
SDS: Final = {"intercept": 0.3, "arm": 0.14, "segment": 0.3, "step": 0.4, "arm_segment": 0.36, "arm_step": 0.18}
EACH: Final = 50 * DAY // 10_000
FLOOR: Final = 0.05
NOVELTY: Final = 0.25
NOVELTY_FADES: Final = 3 * DAY
"""As in the sealed population (``population/effects.json``): logits that an arm just seen loses, and the time constant of that loss."""


class World(NamedTuple):
    """``phases``: true success rates (trigger, arm, step, segment) in parts of the same length. ``segments``: the shares of the segments.

    ``arrives``: the number of the decision from which on the last arm is eligible. ``returning``: share of the decisions for a person who
    has been shown an arm before.
    """

    phases: list[Floats]
    segments: Floats
    decisions: int
    arrives: int = 0
    returning: float = 0.0


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
    """Shift the last arm's logits until its mean success rate differs from that of the others by ``by``."""
    logits = np.log(rates / (1.0 - rates))
    for trigger in range(TRIGGERS):
        wanted = rates[trigger, :-1].mean() + by
        for _ in range(50):
            now = 1.0 / (1.0 + np.exp(-logits[trigger, -1]))
            logits[trigger, -1] += (wanted - now.mean()) / (now * (1.0 - now)).mean()
    return 1.0 / (1.0 + np.exp(-logits))


def _between(first: Floats, last: Floats, phases: int) -> list[Floats]:
    """Rates whose logits move evenly from ``first`` to ``last``."""
    begin, end = (np.log(rates / (1.0 - rates)) for rates in (first, last))
    return [1.0 / (1.0 + np.exp(-(begin + (end - begin) * part))) for part in np.linspace(0.0, 1.0, phases)]


def draw_world(scenario: str, seed: int) -> World:
    """Draw a world of ``scenario``."""
    world = np.random.default_rng([seed, 1])
    even = np.full(4, 0.25)
    if scenario == "baseline":
        return World([_rates(world, 3, 4, SDS)], even, 10_000)
    if scenario == "repeats":
        return World([_rates(world, 3, 4, SDS)], even, 10_000, returning=0.5)
    if scenario in ("drift", "wander"):
        base = (
            MEAN
            + world.normal(0, 0.3, (TRIGGERS, 1, 1, 1))
            + world.normal(0, 0.3, (TRIGGERS, 1, 1, 4))
            + world.normal(0, 0.4, (TRIGGERS, 1, STEPS, 1))
        )
        before, after = (_rates(world, 3, 4, SDS, base) for _ in range(2))
        return World([before, after] if scenario == "drift" else _between(before, after, 20), even, 20_000)
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


SCENARIOS: Final = ("baseline", "drift", "wander", "cold", "repeats", "new_arm", "harmful_arm", "null")


def contenders(seed: int, policy: BanditPolicy) -> dict[str, Callable[[], Contender]]:
    """Return a constructor for each learner, by name."""
    return {
        "uniform": Uniform,
        "global": lambda: Cells(lambda *_: (), FLOOR, seed),
        "independent": lambda: Cells(lambda *context: context, FLOOR, seed),
        "engine": lambda: Engine(policy, TRIGGERS),
        "engine_without_floor": lambda: Engine(policy.model_copy(update={"exploration_floor": 0.0}), TRIGGERS),
    }


def run(world: World, contender: Contender, seed: int) -> dict[str, Any]:
    """Run one learner in one world and compute its share of the possible gain."""
    chance = np.random.default_rng([seed, 2])
    count, arms = world.decisions, world.phases[0].shape[1]
    triggers, steps = chance.integers(0, TRIGGERS, count), chance.integers(0, STEPS, count)
    segments = chance.choice(len(world.segments), count, p=world.segments)
    arm_draws, outcome_draws = chance.random(count), chance.random(count)
    returns, ago = chance.random(count) < world.returning, chance.integers(1, 3 * DAY // EACH, count)
    chosen = np.zeros(count, dtype=np.int64)
    won, by_chance, best, last = (np.zeros(count) for _ in range(4))
    waiting: deque[tuple[int, int, int, bool]] = deque()
    begun = time.process_time()
    for number in range(count):
        at = BEGIN + number * EACH
        phase = number * len(world.phases) // count
        while waiting and waiting[0][0] <= at:
            when, which, arm, success = waiting.popleft()
            contender.observe(int(triggers[which]), arm, int(steps[which]), int(segments[which]), success, when, when - DAY)
        trigger, step, segment = int(triggers[number]), int(steps[number]), int(segments[number])
        eligible = range(arms if number >= world.arrives else arms - 1)
        seen = None
        if returns[number] and ago[number] <= number:
            segment = segments[number] = segments[number - ago[number]]
            seen = (int(chosen[number - ago[number]]), int(ago[number]) * EACH)
        probabilities = np.asarray(contender.propensities(trigger, step, segment, eligible, at, seen))
        rates = world.phases[phase][trigger, : len(probabilities), step, segment]
        if seen:
            rates = _less_novel(rates, *seen)
        won[number], by_chance[number], best[number] = probabilities @ rates, rates.mean(), rates.max()
        last[number] = probabilities[-1] if len(probabilities) == arms else 0.0
        arm = min(int(np.searchsorted(np.cumsum(probabilities), arm_draws[number], side="right")), len(probabilities) - 1)
        chosen[number] = arm
        success = bool(outcome_draws[number] < rates[arm])
        waiting.append((at + DAY, number, arm, success))
    since = slice(count // 2 if len(world.phases) > 1 else 0, count)
    gap = (best[since] - by_chance[since]).sum()
    return {
        "late": 0.0 if gap <= 1e-6 else float((won - by_chance)[-count // 10 :].sum() / (best - by_chance)[-count // 10 :].sum()),
        "share": float((won[since] - by_chance[since]).sum() / gap) if gap > 1e-6 else 0.0, "gap": float(gap / (count - since.start)),
        "won": float(won[since].mean()), "last": last, "seconds": time.process_time() - begun, "stops": getattr(contender, "stops", []),
    }  # fmt: skip


def _less_novel(rates: Floats, arm: int, ago: int) -> Floats:
    logits = np.log(rates / (1.0 - rates))
    logits[arm] -= NOVELTY * np.exp(-ago / NOVELTY_FADES)
    return 1.0 / (1.0 + np.exp(-logits))


def measure(scenario: str, seed: int, only: list[str], policy: BanditPolicy) -> dict[str, Any]:
    """Run all learners, or those in ``only``, in one world."""
    world, found = draw_world(scenario, seed), {}
    for name, builder in contenders(seed, policy).items():
        if only and name not in only:
            continue
        result = run(world, builder(), seed)
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
    """Run the worlds of the given options and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="a field of state/decision/bandit_policy.py")
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
