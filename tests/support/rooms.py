"""The import rule: which room may import which, and where the engine may appear."""

from __future__ import annotations

#: Room -> the other rooms it may import.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "state": frozenset(),
    "system": frozenset(),
    "llm": frozenset({"state"}),
    "operators": frozenset({"state", "llm"}),
    "sources": frozenset({"state", "system"}),
    "sinks": frozenset({"state", "system"}),
    "evaluation": frozenset({"state"}),
    "local": frozenset({"state", "sinks", "system"}),
    "flows": frozenset({"state", "llm", "operators", "sources", "sinks", "local", "system"}),
    "gateway": frozenset({"state", "sources", "sinks", "local", "system"}),
    "reports": frozenset({"state", "llm", "sources", "sinks", "evaluation", "flows"}),
    "cli": frozenset({"state", "llm", "operators", "sources", "sinks", "evaluation", "local", "flows", "gateway", "reports", "system"}),
}
ENGINE_ROOMS = frozenset({"operators", "sources", "sinks", "flows"})
