"""Draws the results in benchmarks/results/speed: ``python -m benchmarks.speed.plot [--out FILE]``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.trees import ROOT

RESULTS: Final = ROOT / "benchmarks" / "results" / "speed"
IMAGE: Final = ROOT / "docs" / "images" / "speed.png"
_NAMES: Final = {
    "bare loop": "bare loop, no engine\n(ceiling)",
    "onramp": "Onramp's pipeline",
    "stock bytewax": "Bytewax,\nas its docs show it",
    "quix": "Quix Streams",
    "quix, changelog": "Quix Streams,\nchangelog topics",
    "faust": "Faust, table",
}
_OURS, _OTHERS = "#c2571a", "#8a949e"


def draw(core: Mapping[str, Any], latency: Mapping[str, Any] | None, out: Path) -> None:
    """Draw events per second of each contender, and beside them the latencies of the job and its floor if there are any."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    panels = 1 if latency is None else 2
    figure, axes = plt.subplots(1, panels, figsize=(5.5 * panels, 3.8), layout="constrained", squeeze=False)
    _speeds(axes[0][0], core)
    if latency is not None:
        _latencies(axes[0][1], latency)
    for each in axes[0]:
        each.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=130)
    plt.close(figure)


def _speeds(left: Any, core: Mapping[str, Any]) -> None:
    contenders = core["results"]["contenders"]
    names = [name for name in _NAMES if name in contenders][::-1]
    speeds = [contenders[name]["eventsPerSecond"] for name in names]
    middle = [speed["median"] for speed in speeds]
    spread = [[s["median"] - s["least"] for s in speeds], [s["most"] - s["median"] for s in speeds]]
    colours = [_OURS if name == "onramp" else _OTHERS for name in names]
    left.barh([_NAMES[name] for name in names], middle, xerr=spread, color=colours, ecolor="#333333", capsize=3)
    for place, value in enumerate(middle):
        left.text(value + spread[1][place], place, f"  {value:,.0f}", va="center", fontsize=9)
    left.set_xlim(0, max(v + s for v, s in zip(middle, spread[1], strict=True)) * 1.2)
    left.set_title("Events a second, same broker and same fold", fontsize=10)
    left.tick_params(labelsize=9)
    left.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")


def _latencies(right: Any, latency: Mapping[str, Any]) -> None:
    rates = list(latency["results"]["rates"])
    points, width = ("p50", "p95", "p99"), 0.38
    labels = []
    for group, rate in enumerate(rates):
        for index, point in enumerate(points):
            at = group * (len(points) + 0.8) + index
            labels.append((at, point if index != 1 else f"{point}\n{int(rate):,}/s"))
            for shift, kind, colour in ((-width / 2, "job", _OURS), (width / 2, "floor", _OTHERS)):
                value = 1000 * latency["results"]["rates"][rate][kind][point]["median"]
                label = {"job": "Onramp", "floor": "empty Bytewax flow"}[kind] if group == index == 0 else None
                right.bar(at + shift, value, width, color=colour, label=label)
    right.set_xticks([at for at, _ in labels], [text for _, text in labels], fontsize=8)
    right.set_yscale("log")
    right.set_ylabel("milliseconds", fontsize=9)
    right.tick_params(axis="y", labelsize=9)
    right.set_title("From append to recommendation in Redis", fontsize=10)
    right.legend(fontsize=8, frameon=False, loc="upper left")
    right.margins(y=0.2)


def read(name: str) -> dict[str, Any] | None:
    """Return a recorded result, None if there is none."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    return found


def main() -> None:
    """Draw the committed results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.plot", description=draw.__doc__)
    parser.add_argument("--out", type=Path, default=IMAGE, help="image to write (default: docs/images/speed.png)")
    given, core = parser.parse_args(), read("core")
    if core is None:
        parser.error(f"there is no core.json in {RESULTS}")
    draw(core, read("latency"), given.out)


if __name__ == "__main__":
    main()
