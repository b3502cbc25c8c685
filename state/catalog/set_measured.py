"""Sets what was measured in the text of a catalog. Every other character stays: comments, order, quotes and layout.

Only what ``catalog draft`` said of a step's times is taken out, once they are other ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode

from state.catalog.model import AlarmAt, Catalog, Evidence
from state.catalog.parse import CatalogError, parse
from state.duration import parse as parse_duration

Fields = Mapping[str, str]
"""Field → its value as YAML on one line."""

_AFTER: Final = "typical"
_BEFORE: Final = "complete"
"""A field that a step does not have yet is written after the first of these, or else before the second, which every step has."""
_TIMES: Final = frozenset({"typical", "usual"})
_DRAFTED: Final = re.compile(
    r"^[ \t]*# (?:.*completions? as the current step: half within .*|Too few to say how long it takes: .*|Nine of ten take .*"
    r"|.* of the last .* completions are of one day.*|Comes after the step that activates: .*)\r?\n",
    re.MULTILINE,
)
"""Comments of ``evaluation/catalog_draft_text.py`` on the times of a step."""
_Edit = tuple[int, int, str]
_READ: Final[dict[str, Callable[[str], Any]]] = {
    "typical": parse_duration,
    "usual": parse_duration,
    "waiting": lambda text: list(map(float, YAML(typ="safe", pure=True).load(text))),
    "measured": int,
    "alarm_at": lambda text: AlarmAt.model_validate(YAML(typ="safe", pure=True).load(text)),
    "evidence": lambda text: Evidence.model_validate(YAML(typ="safe", pure=True).load(text)),
}
"""Field → what its text means."""


class LayoutError(Exception):
    """The text is laid out so that it cannot be changed safely. The text of the error is one sentence for the user."""


def set_measured(text: str, steps: Mapping[str, Fields], triggers: Fields | None = None) -> str:
    """Return ``text``, a valid catalog, with these fields of steps, by step, and of its triggers. Raises ``LayoutError``."""
    newline = "\r\n" if "\r\n" in text else "\n"
    top = {key.value: (key, value) for key, value in YAML(typ="rt", pure=True).compose(text).value}
    edits: list[_Edit] = []
    for node in top["steps"][1].value if "steps" in top else []:
        if isinstance(node, MappingNode):
            names = [key.value for key, _ in node.value]
            beside = names[names.index(_AFTER) + 1] if _AFTER in names[:-1] else _BEFORE
            step = next((value.value for key, value in node.value if key.value == "id"), "")
            edits += _edits(node, steps.get(step, {}), beside, newline)
            if _TIMES & steps.get(step, {}).keys():
                region = node.start_mark.index, node.end_mark.index
                edits += [(*found.span(), "") for found in _DRAFTED.finditer(text, *region)]
    if triggers and "triggers" in top:
        node = top["triggers"][1]
        if isinstance(node, MappingNode) and node.value:
            edits += _edits(node, triggers, node.value[0][0].value, newline)
    elif triggers and "steps" in top:
        at = top["steps"][0].start_mark.index
        edits.append(
            (at, at, f"triggers:{newline}" + "".join(f"  {field}: {value}{newline}" for field, value in triggers.items()) + newline)
        )
    changed = text
    for start, end, new in sorted(edits, reverse=True):
        changed = changed[:start] + new + changed[end:]
    if _content(changed) != with_measured(parse(text, ""), steps, triggers or {}):
        raise LayoutError("the catalog's layout (an alias or a merge key, say) does not allow the change; set the values by hand")
    return changed


def with_measured(catalog: Catalog, steps: Mapping[str, Fields], triggers: Fields) -> Catalog:
    """Return ``catalog`` with these fields of steps, by step, and of its triggers: what ``set_measured`` makes of its text."""
    changed = [step.model_copy(update=_values(steps.get(step.id, {}))) for step in catalog.steps]
    return catalog.model_copy(update={"steps": changed, "triggers": catalog.triggers.model_copy(update=_values(triggers))})


def _values(fields: Fields) -> dict[str, Any]:
    return {field: _READ[field](text) for field, text in fields.items()}


def _edits(node: Any, fields: Fields, beside: str, newline: str) -> Iterator[_Edit]:
    """Replace values that are there; write the others before the field ``beside``."""
    known = {key.value: (key, value) for key, value in node.value}
    for field, text in sorted(fields.items()):
        if field in known:
            value = known[field][1]
            if isinstance(value, ScalarNode) or value.flow_style:
                yield value.start_mark.index, value.end_mark.index, text
        elif beside in known:
            at = known[beside][0].start_mark
            between = ", " if node.flow_style else f"{newline}{' ' * at.column}"
            yield at.index, at.index, f"{field}: {text}{between}"


def _content(text: str) -> Catalog | None:
    try:
        return parse(text, "")
    except CatalogError:
        return None
