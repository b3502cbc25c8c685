"""Why nothing was shown: the reasons of non-decisions; and the messages that were rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from reports.render import heading, number, table
from state.quantity import count
from state.vocabulary import REASONS

if TYPE_CHECKING:
    from reports.facts import Facts


def show_non_decisions(console: Console, facts: Facts, tenant: str) -> None:
    """Print why no recommendation was decided, with each reason in words."""
    rows = facts.rows(
        """
        SELECT reason, sum(non_decisions) AS times, max(people) AS people FROM non_decisions_by_reason
        WHERE tenant_id = {tenant:String} GROUP BY reason ORDER BY times DESC, reason
        """,
        tenant=tenant,
    )
    if not rows:
        return
    heading(console, "Considered, and nothing shown because", count(sum(row["times"] for row in rows), "time"))
    shown = ((row["reason"], number(row["times"]), REASONS.get(row["reason"], "")) for row in rows)
    console.print(table(["reason", ">times", "~meaning"], shown))


def show_dead_letters(console: Console, facts: Facts) -> None:
    """Print what was rejected. Dead letters belong to no tenant."""
    rows = facts.rows("SELECT * FROM dead_letters_by_reason")
    if not rows:
        return
    heading(console, "Dead letters", count(sum(row["messages"] for row in rows), "rejected message"))
    console.print(table(["reason", "input", ">messages"], ((row["reason"], row["topic"], number(row["messages"])) for row in rows)))
