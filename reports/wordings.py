"""What became of the decisions that a model might have worded: a section of ``onramp report``, and a line of ``onramp explain``."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from reports.cells import camel, json_value
from reports.plain import plain
from reports.reasons import why_template
from reports.run_report_json import model_json
from reports.screen import heading, lines, number, percent, table

if TYPE_CHECKING:
    from cli.stores import Facts
    from evaluation.effect import Lift
    from evaluation.model_value import ModelValue

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
_WIDEST_TOLD: Final = 0.5
"""Half the width of an interval (±) beyond which it tells a person nothing."""
_SPENT: Final = ("inputTokens", "outputTokens", "costDollars")
_KEPT = """
SELECT toString(reason) AS reason, count() AS decisions FROM llm_calls_final
WHERE tenant_id = {tenant:String} AND status = 'kept' GROUP BY reason ORDER BY decisions DESC, reason
"""
_HITS = "SELECT * EXCEPT (tenant_id) FROM llm_hit_rate WHERE tenant_id = {tenant:String}"
_REJECTED = "SELECT * EXCEPT (tenant_id) FROM llm_rejections WHERE tenant_id = {tenant:String}"


def read(facts: Facts, tenant: str) -> Row | None:
    """What the tables tell of ``tenant``, as under ``llm`` in ``onramp report --json``; None where no model was ever considered."""
    totals = facts.rows(_TOTALS, tenant=tenant)[0]
    if not totals["decisions"]:
        return None
    hits = facts.rows(_HITS, tenant=tenant)
    return {
        "tenantId": tenant,
        **_record(totals),
        "shared": _record(hits[0]) if hits else None,
        "kept": [{**_record(row), "inWords": why_template(row["reason"])} for row in facts.rows(_KEPT, tenant=tenant)],
        "rejections": [_record(row) for row in facts.rows(_REJECTED, tenant=tenant)],
    }


def as_record(found: Row | None, value: ModelValue | None) -> Row | None:
    """``found`` with the comparison of model and template, as JSON."""
    if found is None or value is None:
        return None
    return {**found, **model_json(value), "whyNotCompared": None if value.compared else value.why_not}


def show(console: Console, found: Row | None, value: ModelValue | None) -> None:
    """Print the section, or nothing where there is nothing to tell."""
    if found is None or value is None:
        return
    heading(console, "Model texts", f"{number(found['eligible'])} of {several(found['decisions'], 'decision')} eligible for one")
    drawn = f" {number(found['drawnForTemplate'])} were drawn to keep their template." if found["drawnForTemplate"] else ""
    rate = f" ({percent(found['improvedRate'])})" if found["asked"] else ""
    told = [f"{number(found['asked'])} were asked for, {number(found['improved'])} of them improved{rate}.{drawn}"]
    told += _spent(found)
    if shared := found["shared"]:
        saved = "" if shared["savedDollars"] is None else f", about {dollars(shared['savedDollars'])}"
        told.append(
            f"Hit rate {percent(shared['hitRate'])}: {number(shared['hits'])} of {number(shared['asked'])} shared requests, over "
            f"{several(shared['distinctKeys'], 'distinct key')}; {several(shared['hits'], 'call')} saved{saved}."
        )
    lines(console, *(Text(sentence) for sentence in told))
    if found["kept"]:
        console.print()
        rows = ((row["reason"], number(row["decisions"]), _explained(row)) for row in found["kept"])
        console.print(table(["template kept", ">decisions", "~in words"], rows))
    if found["rejections"]:
        console.print()
        checks = ((row["check"], row["reason"], number(row["rejected"]), percent(row["share"])) for row in found["rejections"])
        console.print(table(["text rejected by", "reason", ">decisions", ">of those checked"], checks))
    _show_value(console, value)


def _spent(found: Row) -> list[str]:
    """What calls cost, those that were answered apart from those that were not."""
    told = []
    if answered := found["answered"]:
        sent, received, cost = (found[name] - found[f"failed{name[0].upper()}{name[1:]}"] for name in _SPENT)
        took = f"half took {number(found['latencyP50Ms'])} ms or less, 95 % {number(found['latencyP95Ms'])} ms or less"
        told.append(f"{several(answered, 'answer')} cost {dollars(cost)}: {number(sent)} + {number(received)} tokens; {took}.")
    if failed := found["failed"]:
        sent, received, cost = (found[f"failed{name[0].upper()}{name[1:]}"] for name in _SPENT)
        bill = "nothing of it is billed"
        if sent + received:
            bill = f"may be billed with up to {dollars(cost)}: {number(sent)} + {number(received)} tokens"
        which = several(failed, "more call" if answered else "call")
        told.append(f"{which} failed or {'was' if failed == 1 else 'were'} given up; {bill}.")
    return told


def several(count: int, thing: str) -> str:
    """``1 call``, ``2 calls``."""
    return f"{number(count)} {thing}{'' if count == 1 else 's'}"


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
    console.print(table(["drawn for", ">decisions", ">improved", ">shown", ">matured", ">success", ">rate", ">cost"], rows))
    told = [Text(f"{number(value.open)} more are shown and have time left to succeed.", style="dim")] if value.open else []
    if value.lift is not None:
        told.append(Text(_difference(value.lift)))
    if not value.compared:
        told.append(Text(f"{value.why_not[0].upper()}{value.why_not[1:]}: there is nothing to compare.", style="dim"))
    elif value.per_success is not None and value.per_success_at_most is not None:
        price = f"{dollars(value.per_success / 1e6)}, at most {dollars(value.per_success_at_most / 1e6)}"
        told.append(Text(f"One success more costs {price} ({number(value.incremental)} more so far)."))
    else:
        told.append(Text(f"What one success more costs cannot be said: {value.why_not}.", style="dim"))
    for what, balance in (("decisions", value.drawn), ("decisions shown", value.shown)):
        if balance is not None and not balance.ok:
            shares = ", ".join(f"{name} {number(count)}" for name, count in balance.counts.items())
            told.append(
                Text(f"Do not believe this yet: {what} are not drawn as promised ({shares}; p = {balance.p_value:.2g}).", "bold red")
            )
    lines(console, *told)


def _difference(lift: Lift) -> str:
    low, high = (f"{100 * value:+.1f}".replace("-", "−") for value in (lift.lower, lift.upper))
    if lift.upper - lift.lower > 2 * _WIDEST_TOLD:
        return f"Too few people to say what a model's text changes ({several(int(lift.path.seen[-1]), 'decision')} so far)."
    verdict = "harm is proven" if lift.upper < 0 else "not proven so far"
    if lift.claimed_after is not None:
        verdict = f"proven after {number(lift.claimed_after)} decisions"
    points = f"{100 * lift.lift:+.1f}".replace("-", "−")
    return f"Model − template: {points} points, valid at every look {low} to {high}; {verdict}."


def in_words(row: Row) -> str:
    """One entry of a timeline: what became of the wish for a better text, and what that took."""
    detail = _detail(row["detail"])
    checks = [(str(each[0]), str(each[1])) for each in detail.get("checks", []) if len(each) == 2]
    how = ", ".join(_how(detail))
    found = _checked(checks, improved=row["what"] == "improved")
    if row["what"] == "improved":
        return plain("; ".join(part for part in (f"a model's text ({how})", found) if part))
    why = why_template(row["reason"])
    code = "" if why == row["reason"] else f" ({row['reason']})"
    return plain("; ".join(part for part in (f"template kept: {why}{code}", how if _asked(detail) else "", found) if part))


def _detail(text: str) -> Row:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _asked(detail: Row) -> bool:
    """Whether there was an answer, or at least a request: a call may be given up before the first."""
    return detail.get("source") in {"cache", "coalesced"} or (detail.get("source") == "call" and detail["attempts"] > 0)


def _how(detail: Row) -> list[str]:
    """Prompt, where the answer came from, and what the call took."""
    told = [f"prompt {detail['promptVersion']}"] if detail.get("promptVersion") else []
    source = detail.get("source")
    if source == "call":
        model = f" to {detail['model']}" if detail.get("model") else ""
        told.append(f"call{model} in {number(detail['latencyMs'])} ms")
        told.append(f"{number(detail['inputTokens'])} + {number(detail['outputTokens'])} tokens, {dollars(detail['costMicros'] / 1e6)}")
        if detail["attempts"] > 1:
            told.append(f"{detail['attempts']} attempts")
    elif source == "cache":
        told.append(f"from the cache in {number(detail['latencyMs'])} ms")
    elif source == "coalesced":
        told.append(f"by a call that was on its way for somebody else, in {number(detail['latencyMs'])} ms")
    return told


def _checked(checks: list[tuple[str, str]], *, improved: bool) -> str:
    rejected = Counter(f"{check} ({reason})" for check, reason in checks if reason)
    if rejected:
        return f"rejected by {', '.join(rejected)}"
    return f"all {len(checks)} checks passed" if checks and improved else ""


def dollars(value: float | None) -> str:
    """``$1.25``, ``$0.0004``: less than a dollar with the digits that tell it from nothing; a dash for nothing to measure."""
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 0.995:
        return f"${value:,.2f}"
    digits = 4 if abs(value) >= 0.001 else 6
    return f"${value:.{digits}f}"


def _record(row: Row) -> Row:
    return {camel(name): json_value(value) for name, value in row.items()}
