"""Writes the table of metrics in docs/metrics.md anew, from state/metrics.py. Run it by ``make metrics``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "metrics.md"

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from scripts.write_event_fields import written
    from state.metrics import as_table

    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), as_table()), encoding="utf-8")
