"""Writes the table of fields in docs/events.md anew, from state/event_fields.py. Run it by ``make event-fields``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "events.md"
BEGIN, END = "<!-- begin of the generated table -->\n", "<!-- end of the generated table -->\n"


def written(page: str, table: str) -> str:
    """``page`` with ``table`` between the marks."""
    return re.sub(f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", lambda _: table, page, count=1, flags=re.DOTALL)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from state.event_fields import as_table

    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), as_table()), encoding="utf-8")
