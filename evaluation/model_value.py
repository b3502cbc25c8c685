"""The value of a model's text against the template, by intention to treat.

A decision counts in its assigned group, even if the call failed. Every eligible decision is randomly assigned to a model or to its
template (column ``experiment`` of the calls). The outcome is success within the attribution window among *shown* decisions whose window
has closed; before that only successes are known, which biases rates upwards. Being shown must not depend on the assignment; the counts of
all and of shown decisions are both tested. A text that was sent may have come after its template was shown: which of the two was shown is
not known, and need not be.

The unit of randomisation is the decision, and one person has decisions of both groups. Therefore the outcome is a completed step, not
activation, and the cost is reported per additional success.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from evaluation.arrays import ratio
from evaluation.balance import GroupBalance, balance_by_design
from evaluation.effect import ALPHA, TUNED_AT, Lift, compared
from evaluation.evidence import Evidence, ends
from state.duration import DAY

MODEL: Final = "model"
TEMPLATE: Final = "template"
DRAWN: Final = (MODEL, TEMPLATE)


@dataclass(frozen=True, slots=True)
class Wording:
    """One group of the experiment. ``improved``: a text was sent. ``matured``: shown, window closed; ``successes`` of these; ``rate`` None:
    no decision matured.
    """

    experiment: str
    decisions: int
    improved: int
    shown: int
    matured: int
    successes: int
    rate: float | None
    cost_micros: int


@dataclass(frozen=True, slots=True)
class ModelValue:
    """The effect of models on success and its cost, in millionths of a dollar.

    ``lift`` (model − template, of the rates) is None until both groups have matured decisions. ``drawn`` and ``shown`` test the counts
    against the promised share, None without one. ``per_success``: cost of one additional success; ``per_success_at_most``: the same at the
    lower end of the interval. Both are None, and ``why_not`` is a sentence, until the interval is above 0. ``open``: shown, window open,
    and not voided. ``compared`` is False, and ``lift`` None, if no text was sent for a shown decision: the groups were treated alike.
    """

    sides: tuple[Wording, ...]
    open: int
    lift: Lift | None
    drawn: GroupBalance | None
    shown: GroupBalance | None
    incremental: float | None
    per_success: float | None
    per_success_at_most: float | None
    why_not: str
    compared: bool = True

    @property
    def cost_micros(self) -> int:
        """Return the cost of all decisions assigned to the model, matured or not."""
        return sum(side.cost_micros for side in self.sides)


def model_value(evidence: Evidence, template_share: float | None = None, *, window: int = DAY) -> ModelValue:
    """Compare the two groups. ``template_share``: the promised share of templates. ``window``: of attribution, in ms. Both count where the
    catalog of a decision is not known. Where no share is known, the observed one is used: the always-valid interval is then approximate,
    nothing is claimed, and the balance is not tested. Nothing is claimed either where the balance fails.
    """
    drawn = _drawn(evidence, template_share, window)
    matured = drawn.filter("matured")
    sides = tuple(_side(drawn.filter(pl.col("experiment") == name), name) for name in DRAWN)
    was_sent = drawn.filter(pl.col("shown") & (pl.col("status") == "improved")).height > 0
    balances = _balance(drawn), _balance(drawn.filter("shown"))
    lift = _lift(matured, believed=all(balance is None or balance.ok for balance in balances)) if was_sent else None
    incremental = per_success = at_most = None
    why_not = _why_not(sides, lift) if was_sent or not sides[0].decisions else "no model's text was sent for a decision that was shown"
    if lift is not None and not why_not:
        # Decisions with an open window have costs but no known outcome yet, so their costs are left out.
        cost = int(drawn.filter((pl.col("experiment") == MODEL) & ~pl.col("open"))["cost_micros"].sum())
        incremental = lift.lift * sides[0].matured
        per_success, at_most = cost / incremental, cost / (lift.lower * sides[0].matured)
    return ModelValue(
        sides=sides,
        open=int(drawn["open"].sum()),
        lift=lift,
        drawn=balances[0],
        shown=balances[1],
        incremental=incremental,
        per_success=per_success,
        per_success_at_most=at_most,
        why_not=why_not,
        compared=was_sent,
    )


def _drawn(evidence: Evidence, template_share: float | None, window: int) -> pl.DataFrame:
    """Return one row per assigned decision, in order of assignment: ``shown``, ``matured``, ``open``, ``success``, promised ``share``."""
    shown = evidence.outcomes.filter(pl.col("kind") == "shown").group_by("decision_id").agg(pl.col("occurred_at").min().alias("shown_at"))
    frame = (
        evidence.llm_calls.filter(pl.col("experiment").is_in(DRAWN))
        .join(shown, on="decision_id", how="left")
        .join(ends(evidence.outcomes), on="decision_id", how="left")
        .join(evidence.promised("attribution_window_ms", window).rename({"promised": "window"}), on="decision_id", how="left")
        .join(evidence.promised("template_share", -1.0).rename({"promised": "share"}), on="decision_id", how="left")
        .with_columns(
            pl.col("window").fill_null(window),
            share=pl.when(pl.col("share") >= 0).then(pl.col("share")).otherwise(pl.lit(template_share, dtype=pl.Float64)),
            shown=pl.col("shown_at").is_not_null(),
            success=pl.col("reward").fill_null(0.0),
        )
    )
    voided = evidence.outcomes.filter(pl.col("kind").is_in(["withdrawn", "expired", "superseded"]))["decision_id"]
    closed = pl.col("shown") & (pl.col("shown_at") + pl.col("window") <= evidence.until).fill_null(value=False)
    # A decision that was shown long ago and has no outcome is censored (a deleted person or row): its outcome is unknown.
    frame = frame.with_columns(
        matured=closed & pl.col("reward").is_not_null(), open=pl.col("shown") & ~closed & ~pl.col("decision_id").is_in(voided.implode())
    )
    return frame.sort("asked_at", "decision_id")


def _side(rows: pl.DataFrame, name: str) -> Wording:
    matured = rows.filter("matured")
    successes = int(matured["success"].sum())
    return Wording(
        experiment=name,
        decisions=rows.height,
        improved=rows.filter(pl.col("status") == "improved").height,
        shown=int(rows["shown"].sum()),
        matured=matured.height,
        successes=successes,
        rate=ratio(successes, matured.height),
        cost_micros=int(rows["cost_micros"].sum()),
    )


def _lift(matured: pl.DataFrame, *, believed: bool) -> Lift | None:
    known = matured.drop_nulls("share")
    rows = known.filter((pl.col("share") > 0) & (pl.col("share") < 1)) if known.height else matured
    with_model = rows["experiment"] == MODEL
    if not with_model.any() or with_model.all():
        return None
    share = (1.0 - rows["share"]).fill_null(with_model.mean()).to_numpy()
    promised = believed and known.height > 0
    return compared((MODEL, TEMPLATE), rows["success"], with_model, share, alpha=ALPHA, tuned_at=TUNED_AT, promised=promised)


def _balance(rows: pl.DataFrame) -> GroupBalance | None:
    return balance_by_design(
        [
            (of_share["experiment"].to_list(), {MODEL: 1.0 - share, TEMPLATE: share})
            for (share,), of_share in rows.group_by(["share"], maintain_order=True)
            if isinstance(share, float) and 0 < share < 1
        ]
    )


def _why_not(sides: tuple[Wording, ...], lift: Lift | None) -> str:
    """Return why there is no cost per success, empty if there is one."""
    for side in sides:
        if not side.decisions:
            return f"no decision was assigned to the {side.experiment} yet"
        if not side.matured:
            return f"no decision assigned to the {side.experiment} was shown and has a closed attribution window"
    if lift is None or not lift.claimed or lift.lower <= 0 or lift.lift <= 0:
        return "a model's text is not proven to achieve more than the template"
    return ""
