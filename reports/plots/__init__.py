"""Pictures of a report, as SVG files. Importing this room's modules loads matplotlib; this one does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from reports.run_report import RunReport


def draw_all(report: RunReport, directory: Path) -> list[Path]:
    """Draw everything there is something to show of into ``directory``, made if need be. Takes a few seconds. Raises ``OSError``.

    ``index.html`` shows them all. A plot with nothing to show is left out, and a file that an earlier call left under its name removed.
    """
    from reports.plots import lift, posteriors, reasons, regret, stuck, survival
    from reports.plots.style import look, save, title_of

    plots: dict[str, Callable[[RunReport], Figure | None]] = {
        "lift": lift.draw,
        "regret": regret.draw,
        "stuck": stuck.draw,
        "posteriors": posteriors.draw,
        "survival": survival.draw,
        "reasons": reasons.draw,
    }
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    drawn: dict[Path, str] = {}
    with look():
        for name, draw in plots.items():
            path = directory / f"{name}.svg"
            figure = draw(report)
            if figure is None:
                path.unlink(missing_ok=True)
            else:
                drawn[save(figure, path)] = title_of(figure)
    _write_page(directory / "index.html", drawn)
    return list(drawn)


_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<title>Onramp report</title>
<style>
body {{ font-family: sans-serif; margin: 1rem; }}
img {{ max-width: 100%; }}
</style>
</head>
<body>
<main>
<h1>Onramp report</h1>
{pictures}
</main>
</body>
</html>
"""


def _write_page(page: Path, drawn: Mapping[Path, str]) -> None:
    """All plots one below the other, for a browser. A picture leads to its file, where a small screen can enlarge it."""
    pictures = "\n".join(f'<p><a href="{path.name}"><img src="{path.name}" alt="{escape(title)}"></a></p>' for path, title in drawn.items())
    page.write_text(_PAGE.format(pictures=pictures), encoding="utf-8")
