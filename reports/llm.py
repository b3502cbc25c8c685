"""Texts by a model: how many were sent, what they cost, and whether they beat the templates. A section of ``onramp report``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from reports.effect import AROUND
from reports.reasons import why_template
from reports.render import dollars, heading, lines, number, percent, points, table
from reports.report_json import model_json
from reports.values import json_record
from state.quantity import count

if TYPE_CHECKING:
    from evaluation.effect import Lift
    from evaluation.model_value import ModelValue
    from reports.facts import Facts

Row = dict[str, Any]

_TOTALS = """
SELECT (SELECT count() FROM llm_calls_final WHERE tenant_id = {tenant:String}) AS decisions,
    (SELECT count() FROM llm_calls_final WHERE tenant_id = {tenant:String} AND experiment IN ('model', 'template')) AS eligible,
    (SELECT count() FROM llm_calls_final WHERE tenant_id = {tenant:String} AND experiment = 'template') AS drawn_for_template,
    count() AS asked, countIf(status = 'improved') AS improved, if(asked = 0, NULL, improved / asked) AS improved_rate,
    countIf(source = 'call') AS calls, countIf(source = 'call' AND model != '') AS answered, calls - answered AS failed,
    sum(attempts) AS attempts,
    sum(a.input_tokens) AS input_tokens, sum(a.output_tokens) AS output_tokens, sum(cost_micros) / 1000000 AS cost_dollars,
    sumIf(cost_micros, source = 'call' AND model = '') / 1000000 AS failed_cost_dollars,
    sumIf(a.input_tokens, source = 'call' AND model = '') AS failed_input_tokens,
    sumIf(a.output_tokens, source = 'call' AND model = '') AS failed_output_tokens,
    if(answered = 0, NULL, quantileExactInclusiveIf(0.5)(latency_ms, source = 'call' AND model != '')) AS latency_p50_ms,
    if(answered = 0, NULL, quantileExactInclusiveIf(0.95)(latency_ms, source = 'call' AND model != '')) AS latency_p95_ms
FROM llm_asked AS a WHERE tenant_id = {tenant:String}
"""
_WIDEST: Final = 0.5
"""An interval that is wider than this on each side (±) says nothing."""
_SPENT: Final = ("inputTokens", "outputTokens", "costDollars")
_KEPT = """
SELECT toString(reason) AS reason, count() AS decisions FROM llm_calls_final
WHERE tenant_id = {tenant:String} AND status = 'kept' GROUP BY reason ORDER BY decisions DESC, reason
"""
_HITS = "SELECT * EXCEPT (tenant_id) FROM llm_hit_rate WHERE tenant_id = {tenant:String}"
_REJECTED = "SELECT * EXCEPT (tenant_id) FROM llm_rejections WHERE tenant_id = {tenant:String}"


def read(facts: Facts, tenant: str) -> Row | None:
    """What ClickHouse knows of ``tenant``: ``llm`` in ``onramp report --json``. None where no model was ever considered."""
    totals = facts.rows(_TOTALS, tenant=tenant)[0]
    if not totals["decisions"]:
        return None
    hits = facts.rows(_HITS, tenant=tenant)
    return {
        "tenantId": tenant,
        **json_record(totals),
        "shared": json_record(hits[0]) if hits else None,
        "kept": [{**json_record(row), "inWords": why_template(row["reason"])} for row in facts.rows(_KEPT, tenant=tenant)],
        "rejections": [json_record(row) for row in facts.rows(_REJECTED, tenant=tenant)],
    }


def as_record(found: Row | None, value: ModelValue | None) -> Row | None:
    """``found`` and the comparison of model and template, as JSON."""
    if found is None or value is None:
        return None
    return {**found, **model_json(value), "whyNotCompared": None if value.compared else value.why_not}


def show(console: Console, found: Row | None, value: ModelValue | None) -> None:
    """Print the section; nothing where no model was considered."""
    if found is None or value is None:
        return
    heading(console, "Model texts", f"{number(found['eligible'])} of {count(found['decisions'], 'decision')} eligible for one")
    drawn = f" {count(found['drawnForTemplate'], 'keeps its', 'keep their')} template for comparison." if found["drawnForTemplate"] else ""
    rate = f" ({percent(found['improvedRate'])})" if found["asked"] else ""
    sentences = [f"{count(found['asked'], 'text was', 'texts were')} requested, {number(found['improved'])} sent{rate}.{drawn}"]
    sentences += _spent(found)
    if shared := found["shared"]:
        saved = "" if shared["savedDollars"] is None else f", about {dollars(shared['savedDollars'])}"
        sentences.append(
            f"Hit rate {percent(shared['hitRate'])}: {number(shared['hits'])} of {count(shared['asked'], 'shareable request')}, over "
            f"{count(shared['distinctKeys'], 'distinct key')}; {count(shared['hits'], 'call')} saved{saved}."
        )
    lines(console, *(Text(sentence) for sentence in sentences))
    if found["kept"]:
        console.print()
        rows = ((row["reason"], number(row["decisions"]), _explained(row)) for row in found["kept"])
        console.print(table(["template kept", ">decisions", "~meaning"], rows))
    if found["rejections"]:
        console.print()
        checks = ((row["check"], row["reason"], number(row["rejected"]), percent(row["share"])) for row in found["rejections"])
        console.print(table(["text rejected by", "reason", ">decisions", ">of those checked"], checks))
    _show_value(console, value)


def _spent(found: Row) -> list[str]:
    """What calls cost: the answered ones, then the failed and cancelled ones."""
    sentences = []
    if answered := found["answered"]:
        sent, received, cost = (found[name] - found[f"failed{name[0].upper()}{name[1:]}"] for name in _SPENT)
        took = f"half took {number(found['latencyP50Ms'])} ms or less, 95 % {number(found['latencyP95Ms'])} ms or less"
        sentences.append(f"{count(answered, 'answer')} cost {dollars(cost)}: {number(sent)} + {count(received, 'token')}; {took}.")
    if failed := found["failed"]:
        sent, received, cost = (found[f"failed{name[0].upper()}{name[1:]}"] for name in _SPENT)
        bill = "nothing is billed"
        if sent + received:
            bill = f"may be billed with up to {dollars(cost)}: {number(sent)} + {count(received, 'token')}"
        which = count(failed, "more call" if answered else "call")
        sentences.append(f"{which} failed or {'was' if failed == 1 else 'were'} cancelled; {bill}.")
    return sentences


def _explained(row: Row) -> str:
    return "" if row["inWords"] == row["reason"] else str(row["inWords"])


def _show_value(console: Console, value: ModelValue) -> None:
    console.print()
    rows = [
        (
            side.experiment,
            number(side.decisions),
            number(side.improved),
            number(side.shown),
            number(side.matured),
            number(side.successes),
            percent(side.rate),
            dollars(side.cost_micros / 1e6) if side.cost_micros else "–",
        )
        for side in value.sides
    ]
    console.print(table(["drawn for", ">decisions", ">sent", ">shown", ">matured", ">success", ">rate", ">cost"], rows))
    sentences = (
        [Text(f"{count(value.open, 'more is shown and has', 'more are shown and have')} time left to succeed.", style="dim")]
        if value.open
        else []
    )
    if value.lift is not None:
        sentences.append(Text(difference_in_words(value.lift)))
    if not value.compared:
        sentences.append(Text(f"{value.why_not[0].upper()}{value.why_not[1:]}: there is nothing to compare.", style="dim"))
    elif value.per_success is not None and value.per_success_at_most is not None:
        price = f"{dollars(value.per_success / 1e6)}, at most {dollars(value.per_success_at_most / 1e6)}"
        sentences.append(Text(f"One more success costs {price} ({number(value.incremental)} more so far)."))
    else:
        sentences.append(Text(f"The cost of one more success is not known: {value.why_not}.", style="dim"))
    for what, balance in (("decisions", value.drawn), ("decisions shown", value.shown)):
        if balance is not None and not balance.ok:
            shares = ", ".join(f"{name} {number(drawn)}" for name, drawn in balance.counts.items())
            sentences.append(
                Text(f"Do not believe this yet: {what} are not drawn as promised ({shares}; p = {balance.p_value:.2g}).", "bold red")
            )
    lines(console, *sentences)


def difference_in_words(lift: Lift) -> str:
    """Say how often model texts succeed more than templates, with the interval, or that too little is known."""
    if lift.upper - lift.lower > 2 * _WIDEST:
        return f"Too few decisions to say what a model's text changes ({count(int(lift.path.seen[-1]), 'decision')} so far)."
    proof = {"better": "proven", "worse": "harm is proven", None: "not proven"}[lift.proven]
    if lift.claimed_after is not None:
        earlier = "" if lift.proven == "better" else ". At first the model was shown to be better,"
        proof += f"{earlier} after {count(lift.claimed_after, 'decision')}"
    return f"Model − template: {points(lift.lift)} points, 95 % interval {points(lift.lower)} to {points(lift.upper)}; {proof}. {AROUND}"
