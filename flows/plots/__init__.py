"""Pictures of a verdict, as SVG files. Importing this room's modules loads matplotlib; this one does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from flows.verdict import Verdict


def draw_all(verdict: Verdict, directory: Path) -> list[Path]:
    """Draw everything there is something to show of into ``directory``, made if need be. Takes a few seconds. Raises ``OSError``.

    A plot with nothing to show is left out, and a file that an earlier call left under its name removed.
    """
    from flows.plots import lift, posteriors, reasons, regret, stuck, survival  # noqa: PLC0415 -- matplotlib takes a second
    from flows.plots.style import look, save  # noqa: PLC0415

    plots: dict[str, Callable[[Verdict], Figure | None]] = {
        "lift": lift.draw,
        "regret": regret.draw,
        "stuck": stuck.draw,
        "posteriors": posteriors.draw,
        "survival": survival.draw,
        "reasons": reasons.draw,
    }
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    drawn: list[Path] = []
    with look():
        for name, draw in plots.items():
            path = directory / f"{name}.svg"
            figure = draw(verdict)
            if figure is None:
                path.unlink(missing_ok=True)
            else:
                drawn.append(save(figure, path))
    return drawn
