"""Sets durations of steps in the text of a catalog. Every other character stays: comments, order, quotes and layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode

from state.catalog.model import Catalog
from state.catalog.parse import CatalogError, parse
from state.duration import parse as parse_duration

Durations = Mapping[str, str]
"""Field of a step (``typical``, ``usual``) → its duration as text."""

_AFTER: Final = "typical"
_BEFORE: Final = "complete"
"""A field that a step does not have yet is written after the first of these, or else before the second, which every step has."""


class LayoutError(Exception):
    """The text is laid out so that it cannot be changed safely. The text of the error is one sentence for the user."""


def set_durations(text: str, changes: Mapping[str, Durations]) -> str:
    """Return ``text``, a valid catalog, with the durations of ``changes``, by step. Raises ``LayoutError``."""
    edits: list[tuple[int, int, str]] = []
    newline = "\r\n" if "\r\n" in text else "\n"
    for node in _step_nodes(text):
        fields = {key.value: (key, value) for key, value in node.value}
        names = list(fields)
        beside = names[names.index(_AFTER) + 1] if _AFTER in names[:-1] else _BEFORE
        for field, duration in sorted(changes.get(fields["id"][1].value if "id" in fields else "", {}).items()):
            if field in fields and isinstance(fields[field][1], ScalarNode):
                value = fields[field][1]
                edits.append((value.start_mark.index, value.end_mark.index, duration))
            elif field not in fields and beside in fields:
                at = fields[beside][0].start_mark
                between = ", " if node.flow_style else f"{newline}{' ' * at.column}"
                edits.append((at.index, at.index, f"{field}: {duration}{between}"))
    changed = text
    for start, end, new in sorted(edits, reverse=True):
        changed = changed[:start] + new + changed[end:]
    if _content(changed) != _wanted(text, changes):
        raise LayoutError("the catalog's layout (an alias or a merge key at a step) does not allow the change; set the durations by hand")
    return changed


def _step_nodes(text: str) -> list[Any]:
    top = YAML(typ="rt", pure=True).compose(text)
    found = [value for key, value in top.value if key.value == "steps"]
    return [node for node in found[0].value if isinstance(node, MappingNode)] if found else []


def _content(text: str) -> Catalog | None:
    try:
        return parse(text, "")
    except CatalogError:
        return None


def _wanted(text: str, changes: Mapping[str, Durations]) -> Catalog:
    catalog = parse(text, "")
    steps = [
        step.model_copy(update={field: parse_duration(duration) for field, duration in changes.get(step.id, {}).items()})
        for step in catalog.steps
    ]
    return catalog.model_copy(update={"steps": steps})
