"""Which rows of a frame a deletion concerns: in memory what ``inserter.py`` deletes in ClickHouse."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from state.records.recommendation import Erase


def erased_rows(frame: pl.DataFrame, erasures: Sequence[Erase]) -> pl.Expr:
    """Return the condition on rows of ``erasures``: older rows of the people, and rejected messages that name one of them."""
    by_tenant: dict[str, dict[str, int]] = {}
    for one in erasures:
        people = by_tenant.setdefault(one.tenant_id, {})
        people[one.user_id] = max(people.get(one.user_id, 0), int(one.version))
    found = pl.lit(value=False)
    for tenant, people in by_tenant.items():
        if "user_id" in frame.columns and "tenant_id" in frame.columns:
            newest = pl.col("user_id").replace_strict(people, default=0, return_dtype=pl.Int64)
            found |= (pl.col("tenant_id") == tenant) & (pl.col("version") < newest)
        elif "user_ids" in frame.columns:
            named = pl.col("user_ids").list.eval(pl.element().is_in(list(people))).list.any()
            if "tenant_ids" in frame.columns:
                named &= (pl.col("tenant_ids").list.len() == 0) | pl.col("tenant_ids").list.contains(tenant)
            found |= named
    return found
