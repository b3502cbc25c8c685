"""Pictures of a report, as SVG files. Importing this room's modules loads matplotlib; this one does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from reports.run_report import RunReport


def draw_all(report: RunReport, directory: Path) -> list[Path]:
    """Draw everything there is something to show of into ``directory``, made if need be. Takes a few seconds. Raises ``OSError``.

    ``index.html`` shows them all. A plot with nothing to show is left out, and a file that an earlier call left under its name removed.
    """
    from reports.plots import lift, posteriors, reasons, regret, stuck, survival
    from reports.plots.style import look, save

    plots: dict[str, Callable[[RunReport], Figure | None]] = {
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
            figure = draw(report)
            if figure is None:
                path.unlink(missing_ok=True)
            else:
                drawn.append(save(figure, path))
    _write_page(directory / "index.html", drawn)
    return drawn


def _write_page(page: Path, drawn: list[Path]) -> None:
    """All plots one below the other, for a browser."""
    pictures = "\n".join(f'<p><img src="{path.name}" alt="{path.stem}" style="max-width:100%"></p>' for path in drawn)
    page.write_text(f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Onramp</title>\n<body>\n{pictures}\n</body></html>\n')
