"""Writes docs/event.schema.json anew, from state/event_schema.py. Run it by ``make event-fields``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "event.schema.json"


def written(schema: dict[str, object]) -> str:
    """The text of the file: ASCII, so that no editor hides a character of a pattern."""
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from state.event_schema import event_schema

    PAGE.write_text(written(event_schema()), encoding="utf-8")
