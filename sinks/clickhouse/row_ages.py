"""The tables whose rows grow old, and the settings that say how long they are kept."""

from __future__ import annotations

import re
from typing import Any, Final

KEPT_CALLS: Final = "llm_answers"
"""The table of the calls of a model. It has a setting of its own, because without days nothing is written to it."""

AGE_OF: Final = {
    "events": "log_time",
    "decisions": "decided_at",
    "recommendations": "created_at",
    "llm_calls": "asked_at",
    KEPT_CALLS: "called_at",
    "outcomes": "occurred_at",
    "stuck_signals": "detected_at",
    "stuck_scores": "judged_at",
    "dead_letters": "log_time",
    "step_metrics_1m": "minute",
}
"""Table → the column by which its rows grow old. The other tables hold what is true now, however old it is."""

_LONGEST: Final = 36_500


def parse_retention(text: Any) -> Any:
    """Return table → days from ``events=90,dead_letters=30``. A value that is not text is returned unchanged. Raises ``ValueError``."""
    if not isinstance(text, str):
        return text
    days: dict[str, int] = {}
    for pair in filter(None, re.split(r"[,\s]+", text.strip())):
        table, _, number = pair.partition("=")
        if table == KEPT_CALLS:
            raise ValueError(f"the days of {KEPT_CALLS} are those of ONRAMP_LLM_KEEP_DAYS; leave them out here")
        if table not in AGE_OF:
            known = ", ".join(each for each in AGE_OF if each != KEPT_CALLS)
            raise ValueError(f"rows are kept by table=days, and the tables whose rows grow old are {known}")
        if table in days:
            raise ValueError(f"{table} is there twice; name each table once")
        if not (re.fullmatch("[0-9]{1,5}", number) and 1 <= int(number) <= _LONGEST):
            raise ValueError(f"the days of {table} must be a whole number from 1 to {_LONGEST}")
        days[table] = int(number)
    return days
