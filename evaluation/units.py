"""The units of the experiment: users and visitors, each in the group in which guidance was considered for them.

Whoever was considered in a group stays a unit of it, whatever becomes of them, because that may be an effect of guidance. Three things may:

A visitor becomes a new user, who has the group of the visitor: the user is the unit, from the first decision about the visitor on.

A visitor signs in as somebody who was a user before, and has a group of their own: both are units. Otherwise guidance that makes visitors
sign in would take them out of one group more than out of the other. The outcome of the visitor is what it did before it signed in. What the
user did is not counted for it: that is known only of visitors who signed in, so it would count where guidance made them, and not where
others did the same under both ids. So where visitors can activate without signing in, guidance that makes users sign in looks worse than it
is. To count only who signs up would be worse: who does may be an effect of guidance too.

A user may turn out not to begin by the catalog's ``starts``: as a visitor they may have, and earlier releases let users leave their group.
"""

from __future__ import annotations

import polars as pl

from evaluation.evidence import GROUPS, Evidence
from state.decision.eligibility import BEFORE_THE_GROUP


def units(evidence: Evidence) -> pl.DataFrame:
    """Everybody in a group, with the columns of ``Evidence.assigned``, and the first decision about them that may depend on the group.

    That is ``first_decided_at``, ``first_trigger`` and ``first_guidance``, what held for guidance when the visitor, or the user, began.
    ``origin_seen_at``: when the visitor that they were was first seen. ``signed_in``: a visitor who signed in as a user from before. Where
    it is not known as whom, they may be one with that user, and are no unit.
    """
    origins = _origins(evidence)
    group, signed_in = pl.col("experiment_group"), pl.col("experiment_group") == "merged"
    known = evidence.visitors["visitor_id"].implode()
    return (
        evidence.assigned()
        .filter(~signed_in | pl.col("user_id").is_in(known))
        .join(_first_decisions(evidence, origins), on="user_id", how="left", maintain_order="left")
        .join(origins, on="user_id", how="left", maintain_order="left")
        .with_columns(signed_in=signed_in, experiment_group=pl.when(group.is_in(GROUPS)).then(group).otherwise("first_group"))
        .filter(group.is_not_null())
    )


def _first_decisions(evidence: Evidence, origins: pl.DataFrame) -> pl.DataFrame:
    """The first decision that may depend on the group: ``user_id first_decided_at first_trigger first_guidance first_group``.

    Nobody is guided before it. One about a visitor of ``origins`` is one about the user.
    """
    became = origins.select("visitor_id", became="user_id")
    guidance = evidence.people.select(visitor_id="user_id", first_guidance="guidance_at_signup")
    return (
        evidence.decisions.filter(pl.col("experiment_group").is_in(GROUPS) & ~pl.col("reason").is_in(BEFORE_THE_GROUP))
        .select("decision_id", visitor_id="user_id", first_decided_at="decided_at", first_trigger="trigger", first_group="experiment_group")
        .join(became, on="visitor_id", how="left")
        .join(guidance, on="visitor_id", how="left")
        .with_columns(user_id=pl.coalesce("became", "visitor_id"))
        .sort("first_decided_at", "decision_id")
        .unique("user_id", keep="first", maintain_order=True)
        .select("user_id", "first_decided_at", "first_trigger", "first_guidance", "first_group")
    )


def _origins(evidence: Evidence) -> pl.DataFrame:
    """The visitor that each user was before they signed in, and whose group they have: ``user_id visitor_id origin_seen_at``.

    It is the one as whom the job drew the group (``visitor_draw``), if it was merged into this user. A visitor that is merged later had a
    group of its own, and the merge may be an effect of guidance: people sign in on another device because they were guided. So it does not
    change when the user began. Rows of older releases do not say as whom the group was drawn. There it is the user's first merge, if that
    is not later than the first decision about the user or their sign-up. That is the only use of ``merged_at``: such rows have no
    ``person_key`` either, so the visitor and the time are those of an event.
    """
    considered = evidence.decisions.group_by("user_id").agg(considered_at=pl.col("decided_at").min())
    people = evidence.people.select("user_id", "visitor_draw", signed_up_at=pl.col("signup_at").replace(0, None))
    in_time = pl.col("merged_at") <= pl.coalesce("considered_at", "signed_up_at", "merged_at")
    is_first = pl.int_range(pl.len()).over("user_id") == 0
    return (
        evidence.visitors.sort("merged_at", "visitor_id")
        .join(considered, on="user_id", how="left", maintain_order="left")
        .join(people, on="user_id", how="left", maintain_order="left")
        .filter((pl.col("visitor_draw") == pl.col("draw")).fill_null(is_first & in_time))
        .join(merged(evidence), on="visitor_id")
        .select("user_id", "visitor_id", "origin_seen_at")
    )


def merged(evidence: Evidence) -> pl.DataFrame:
    """The visitors that became a user: ``visitor_id origin_seen_at``."""
    found = evidence.people.filter(pl.col("experiment_group") == "merged")
    return found.select(visitor_id="user_id", origin_seen_at="first_seen_at")
