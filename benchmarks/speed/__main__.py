"""The command ``python -m benchmarks.speed SCENARIO``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.speed import core, full, growth, idle, latency, scale, short, sinks, start, stop
from benchmarks.speed.figures import DisagreementError, commit, envelope
from benchmarks.speed.reference import reference_decode
from flows.settings import Settings

_OF_THE_COMMAND: Final = frozenset({"scenario", "normalise", "json", "out"})
_RECOVERY_PARTITIONS: Final[int] = Settings.model_fields["recovery_partitions"].default


class Scenario(NamedTuple):
    """``options`` adds the scenario's own to the parser, under the names of what ``measure`` takes. ``lines`` formats the results."""

    help: str
    options: Callable[[argparse.ArgumentParser], None]
    measure: Callable[..., dict[str, Any]]
    lines: Callable[[Mapping[str, Any]], list[str]]


def _core_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, default=1_000_000, help="events of fast contenders (default: 1000000)")
    parser.add_argument("--slow-events", type=int, default=200_000, help="events of slow contenders (default: 200000)")
    parser.add_argument("--users", type=int, default=100_000, help="people (default: 100000)")
    parser.add_argument("--partitions", type=int, default=6, help="partitions of the topic (default: 6)")
    parser.add_argument("--epoch", type=float, default=5.0, help="seconds between snapshots or commits (default: 5)")
    parser.add_argument(
        "--recovery-partitions", type=int, default=_RECOVERY_PARTITIONS, help="files of the recovery store (default: as the job)"
    )
    parser.add_argument("--log-rate", type=float, default=100.0, help="events a second of log time (default: 100)")
    parser.add_argument("--fold", choices=("small", "own"), default="small", help="the shared fold, or this project's own")
    parser.add_argument(
        "--broker", dest="address", metavar="HOST:PORT", help="a broker to use instead of the one for tests; `apache` starts a real Kafka"
    )
    parser.add_argument(
        "--only", dest="names", nargs="+", choices=core.CONTENDERS, default=list(core.CONTENDERS), help="contenders (default: all)"
    )


def _growth_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="people (default: 10000 100000 1000000)")
    parser.add_argument("--epoch", type=float, default=10.0, help="seconds of an epoch at 100,000 people (default: 10)")
    parser.add_argument("--fixed-epoch", action="store_true", help="the same epoch at all sizes; else it grows with the people")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of a run; the first is warm-up (default: 3)")
    parser.add_argument(
        "--recovery-partitions", type=int, default=_RECOVERY_PARTITIONS, help="files of the recovery store (default: as the job)"
    )
    parser.add_argument("--user-events", type=int, default=20, help="events that everybody has sent before (default: 20)")
    parser.add_argument("--most-events", type=int, default=3_000_000, help="longest input of a run (default: 3000000)")
    parser.add_argument("--density-events", type=int, default=100_000, help="events of the dense and the sparse input (default: 100000)")
    parser.add_argument("--log-rate", type=float, default=1000.0, help="events a second of log time at 100,000 people (default: 1000)")
    parser.add_argument("--fixed-log-rate", action="store_true", help="the same at all sizes; else it grows with the people")
    parser.add_argument("--dense-rate", type=float, default=10.0, help="the same of the dense input (default: 10)")
    parser.add_argument("--sparse", type=int, default=100, help="how much longer the log time of the sparse input is (default: 100)")


def _live_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=int, default=100_000, help="people in the state (default: 100000)")
    parser.add_argument("--partitions", type=int, default=6, help="partitions of the topic (default: 6)")
    parser.add_argument("--epoch", type=float, default=5.0, help="seconds between two snapshots (default: 5)")
    parser.add_argument(
        "--recovery-partitions", type=int, default=_RECOVERY_PARTITIONS, help="files of the recovery store (default: as the job)"
    )
    parser.add_argument(
        "--broker", dest="address", metavar="HOST:PORT", help="a broker to use instead of the one for tests; `apache` starts a real Kafka"
    )


def _latency_options(parser: argparse.ArgumentParser) -> None:
    _live_options(parser)
    parser.add_argument("--rates", type=int, nargs="+", default=[500, 2000, 5000], help="events a second (default: 500 2000 5000)")
    parser.add_argument("--sign-ups", type=float, default=50.0, help="sign-ups a second, which are measured (default: 50)")
    parser.add_argument("--epochs", type=int, default=4, help="epochs that are measured at each rate (default: 4)")


def _idle_options(parser: argparse.ArgumentParser) -> None:
    _live_options(parser)
    parser.add_argument("--settle", type=float, default=20.0, help="seconds between the last event and the measurement (default: 20)")
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds of the measurement (default: 60)")


def _stop_options(parser: argparse.ArgumentParser) -> None:
    _live_options(parser)
    parser.add_argument("--rate", type=int, default=500, help="events a second (default: 500)")


def _scale_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4], help="numbers of processes (default: 1 2 4)")
    parser.add_argument("--inputs", nargs="+", choices=scale.INPUTS, default=["log", "kafka"], help="what is read (default: log kafka)")
    parser.add_argument("--events", type=int, default=200_000, help="events (default: 200000)")
    parser.add_argument("--users", type=int, default=20_000, help="people (default: 20000)")
    parser.add_argument("--partitions", type=int, default=8, help="partitions of the input (default: 8)")
    parser.add_argument(
        "--broker", dest="address", metavar="HOST:PORT", help="a broker to use instead of the one for tests; `apache` starts a real Kafka"
    )


def _sinks_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, default=50_000, help="events whose results are written (default: 50000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often their rows are inserted (default: 3)")


def _start_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--demo-users", type=int, default=2000, help="people of the demo, 0 to leave it out (default: 2000)")


def _full_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, default=100_000, help="lines of the file (default: 100000)")
    parser.add_argument("--answer-after", type=float, default=0.5, help="seconds until the scripted model answers (default: 0.5)")


def _no_options(_parser: argparse.ArgumentParser) -> None:
    pass


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "core": Scenario("the same small fold in Onramp's pipeline and in other frameworks", _core_options, core.measure, core.lines),
    "growth": Scenario(
        "throughput, memory, snapshots and resume with more people, and with more log time", _growth_options, growth.measure, growth.lines
    ),
    "latency": Scenario("from the append of an event to its recommendation in Redis", _latency_options, latency.measure, latency.lines),
    "idle": Scenario("the CPU time of a job that has caught up", _idle_options, idle.measure, idle.lines),
    "stop": Scenario("from SIGTERM to the end of a live job, and to live again", _stop_options, stop.measure, stop.lines),
    "sinks": Scenario("recommendations and rows a second into the stores", _sinks_options, sinks.measure, sinks.lines),
    "scale": Scenario("the graph on several processes", _scale_options, scale.measure, scale.lines),
    "start": Scenario("how long commands take", _start_options, start.measure, start.lines),
    "full": Scenario("the job with all stores, without and with a model", _full_options, full.measure, full.lines),
    "short": Scenario("small runs of some scenarios, in a few minutes", _no_options, short.measure, short.lines),
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    whole = argparse.ArgumentParser(prog="python -m benchmarks.speed", description="Measure speed.")
    scenarios = whole.add_subparsers(dest="scenario", required=True)
    for name, scenario in SCENARIOS.items():
        one = scenarios.add_parser(name, help=scenario.help, description=scenario.help)
        scenario.options(one)
        one.add_argument("--repeat", type=int, default=5, help="runs; medians count (default: 5)")
        one.add_argument("--seed", type=int, default=1, help="seed of the events (default: 1)")
        one.add_argument("--normalise", action="store_true", help="also measure decoding at commit 3f9f2d7, to normalise figures")
        one.add_argument("--json", action="store_true", help="print one JSON object")
        one.add_argument("--out", type=Path, help="file to which the JSON object is written as well")
    return whole


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one scenario and print a table or JSON."""
    given = parser().parse_args(arguments)

    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    scenario = SCENARIOS[given.scenario]
    options = {name: value for name, value in vars(given).items() if name not in _OF_THE_COMMAND}
    measured = commit()
    decode = reference_decode(tell) if given.normalise else None
    try:
        results = scenario.measure(**options, tell=tell)
    except DisagreementError as error:
        sys.exit(f"{given.scenario}: {error}")
    whole = json.dumps(envelope(given.scenario, options, results, measured=measured, decode=decode), indent=1)
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(whole + "\n", encoding="utf-8")
    if given.json:
        print(whole)
        return
    for line in scenario.lines(results):
        print(line)
    if decode is not None:
        print(f"decode of the reference commit: {decode:,.0f} events/s; multiply figures by {290_000 / decode:.2f} to normalise them")


if __name__ == "__main__":
    main()
