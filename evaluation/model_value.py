"""Is a model's text worth more than the template? By intention to treat: a decision counts where it was drawn, whatever came of it.

Every eligible decision is drawn to ask a model or to keep its template (column ``experiment`` of the calls). The outcome is success within
the attribution window among *shown* decisions whose window has closed: before that successes alone are known, which flatters everybody.
Being shown must not depend on the draw; the counts of the shown are tested for that as the counts of all are.

The draw is by decision, and one person has decisions of both kinds: what a text achieves is a completed step more, and a person's
activation belongs to no decision. So the cost is set against successes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from evaluation.arrays import ratio
from evaluation.balance import GroupBalance, group_balance
from evaluation.effect import Lift
from evaluation.evidence import Evidence, ends
from evaluation.sequences import difference, difference_fixed
from state.duration import DAY

MODEL: Final = "model"
TEMPLATE: Final = "template"
DRAWN: Final = (MODEL, TEMPLATE)


@dataclass(frozen=True, slots=True)
class Wording:
    """One side of the draw. ``matured``: shown, window closed; ``successes`` of those; ``rate`` None: nothing matured."""

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
    """What models did to success, and what that cost, in millionths of a dollar.

    ``lift`` (model − template, of the rates) is None until both sides have matured decisions. ``drawn`` and ``shown`` test the counts
    against the promised share, None where none is promised. ``per_success``: cost of one success more, and ``per_success_at_most`` by the
    lower end of the interval; both None, and ``why_not`` a sentence, until the interval lies above 0. ``open``: shown, window still open.
    ``compared`` is False, and ``lift`` None, where no text by a model was shown: nothing was done that could differ.
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
        """Of all decisions that were drawn for the model, matured or not."""
        return sum(side.cost_micros for side in self.sides)

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against the draw."""
        return all(balance is None or balance.ok for balance in (self.drawn, self.shown))


def model_value(
    evidence: Evidence, template_share: float | None = None, *, window: int = DAY, alpha: float = 0.05, tuned_at: int = 5_000
) -> ModelValue:
    """Compare the two sides. ``template_share``: the promised share of templates; without it the counts stand in for it, which makes the
    always-valid interval approximate, and nothing tests the draw. ``window``: of attribution, in ms. ``tuned_at`` as for ``effect``.
    """
    drawn = _drawn(evidence, window)
    matured = drawn.filter("matured")
    sides = tuple(_side(drawn.filter(pl.col("experiment") == name), name) for name in DRAWN)
    compared = drawn.filter(pl.col("shown") & (pl.col("status") == "improved")).height > 0
    lift = _lift(matured, template_share, alpha, tuned_at) if compared else None
    incremental = per_success = at_most = None
    why_not = _why_not(sides, lift) if compared or not sides[0].decisions else "no text by a model was shown"
    if lift is not None and not why_not:
        # What is spent on decisions that are still open buys successes that are not known yet.
        cost = int(drawn.filter((pl.col("experiment") == MODEL) & ~pl.col("open"))["cost_micros"].sum())
        incremental = lift.lift * sides[0].matured
        per_success, at_most = cost / incremental, cost / (lift.lower * sides[0].matured)
    return ModelValue(
        sides=sides,
        open=int(drawn["open"].sum()),
        lift=lift,
        drawn=_balance(drawn, template_share),
        shown=_balance(drawn.filter("shown"), template_share),
        incremental=incremental,
        per_success=per_success,
        per_success_at_most=at_most,
        why_not=why_not,
        compared=compared,
    )


def _drawn(evidence: Evidence, window: int) -> pl.DataFrame:
    """One row a decision that was drawn, in the order of the draw: ``shown``, ``matured``, ``open``, ``success``."""
    shown = evidence.outcomes.filter(pl.col("kind") == "shown").group_by("decision_id").agg(pl.col("occurred_at").min().alias("shown_at"))
    frame = (
        evidence.llm_calls.filter(pl.col("experiment").is_in(DRAWN))
        .join(shown, on="decision_id", how="left")
        .join(ends(evidence.outcomes), on="decision_id", how="left")
        .with_columns(shown=pl.col("shown_at").is_not_null(), success=pl.col("reward").fill_null(0.0))
    )
    closed = pl.col("shown") & (pl.col("shown_at") + window <= evidence.until).fill_null(value=False)
    # One that was shown long ago and has no end was cut off (an erased person, a deleted row): nobody knows how it would have ended.
    frame = frame.with_columns(matured=closed & pl.col("reward").is_not_null(), open=pl.col("shown") & ~closed)
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


def _lift(matured: pl.DataFrame, template_share: float | None, alpha: float, tuned_at: int) -> Lift | None:
    with_model = (matured["experiment"] == MODEL).to_numpy()
    if not with_model.any() or with_model.all():
        return None
    share = float(with_model.mean())
    if template_share is not None and 0 < template_share < 1:
        share = 1.0 - template_share
    success = matured["success"].to_numpy()
    path = difference(success, with_model, share, alpha=alpha, tuned_at=tuned_at)
    estimate, fixed_lower, fixed_upper = difference_fixed(success, with_model, alpha=alpha)
    first = path.first_above(0.0)
    return Lift(
        treated=MODEL,
        control=TEMPLATE,
        lift=estimate,
        lower=float(path.lower[-1]),
        upper=float(path.upper[-1]),
        fixed_lower=fixed_lower,
        fixed_upper=fixed_upper,
        claimed=first is not None,
        claimed_after=first,
        path=path,
    )


def _balance(rows: pl.DataFrame, template_share: float | None) -> GroupBalance | None:
    if template_share is None or not 0 < template_share < 1:
        return None
    return group_balance(rows["experiment"].to_list(), {MODEL: 1.0 - template_share, TEMPLATE: template_share})


def _why_not(sides: tuple[Wording, ...], lift: Lift | None) -> str:
    """Why no cost per success can be named, empty if it can."""
    for side in sides:
        if not side.decisions:
            return f"no decision was drawn for the {side.experiment} yet"
        if not side.matured:
            return f"no decision that was drawn for the {side.experiment} was shown and has its attribution window closed"
    if lift is None or lift.lower <= 0 or lift.lift <= 0:
        return "a model's text is not proven to achieve more than the template"
    return ""
