"""Facts for tests: each maker fills what the test does not care about."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from state.records.facts import Fact

F = TypeVar("F", bound=Fact)

_EMPTY: dict[Any, Any] = {str: "", int: 0, float: 0.0, bool: False, tuple[str, ...]: (), tuple[float, ...]: ()}


def make(kind: type[F], /, **values: Any) -> F:
    """Return a fact of a kind with these values; the rest is empty, tenant ``t``, user ``u``, version 1."""
    usual = {"tenant_id": "t", "user_id": "u", "version": 1}
    filled = {field.name: usual.get(field.name, _EMPTY[field.type]) for field in msgspec.structs.fields(kind)}
    return kind(**{**filled, **values})
