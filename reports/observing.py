"""What was learned where nobody is guided: where people are lost, how soon it can be known, what guidance could be worth at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from evaluation.frontier import LEAST_STUCK
from evaluation.observed import CALLED, SURE
from reports.render import heading, hours, lines, number, percent, table
from reports.report_json import frontier_json
from reports.stuck import WHAT_H_IS, against_time_alone, out_of_reach, show_alarms_by_step
from reports.values import pick
from state.duration import HOUR
from state.plain_text import plain
from state.quantity import count

if TYPE_CHECKING:
    from evaluation.observed import Observed, StepLook, StepLoss
    from reports.run_report import RunReport

MOST: Final = 5
"""Steps in a table: both tables and what they come to fit a screen of 24 lines."""
_SHOWN: Final = (0.1, 0.3, 0.5)
_NO_LOOK: Final = "half of H is under a second there, and nobody is scored so soon."


def show_observed(console: Console, report: RunReport) -> None:
    """Print it; nothing where the newest catalog guides people."""
    found = report.observed
    if found is None:
        return
    heading(console, "What observing showed", f"{count(found.users, 'user')} began; nobody is guided")
    if not found.steps:
        lines(console, Text("No user has begun a step yet.", style="dim"))
        return
    lines(console, *(Text.assemble((f"{title}: ", "bold"), plain(said)) for title, said in summary(found)))
    lines(console, Text(WHAT_H_IS, style="dim"))
    _show_losses(console, found)
    _show_looks(console, found)
    lines(console, *(Text(sentence) for sentence in _of_scores(report)))
    show_alarms_by_step(console, report, MOST)


def summary(found: Observed) -> list[tuple[str, str]]:
    """Where, how soon and how much, a sentence each."""
    first = found.steps[0]
    return [("Where", _where(first)), ("How soon", _how_soon(first)), ("Worth at most", _worth(found))]


def _where(first: StepLoss) -> str:
    if not first.lost:
        return "nobody is lost at a step so far."
    judged = first.began - first.too_early
    return (
        f"the most users are lost at {first.step}: {first.lost:,} of {judged:,} who began it ({percent(first.lost_share)}) neither "
        "completed it nor went past it."
    )


def _how_soon(first: StepLoss) -> str:
    if not first.leaves_look:
        return _NO_LOOK
    look, where = first.known, "there" if first.lost else f"at {first.step}"
    if look is not None:
        after = "" if first.horizon is None else f" ({hours(look.share * first.horizon / HOUR)} at present)"
        return (
            f"after {look.share:g} H {where}{after} {percent(look.precision)} of the {look.called:,} called stuck are; "
            f"they are {percent(look.found)} of the {first.stuck:,} stuck."
        )
    most = max((each.called for each in first.looks), default=0)
    if most < LEAST_STUCK:
        return f"too few were called stuck {where} to say: {most:,}, it takes {LEAST_STUCK}."
    return f"not within half of H {where}: at no look are {100 * SURE:.0f} % of those called stuck right."


def _worth(found: Observed) -> str:
    now = f"{number(found.activated)} of {number(found.users)} have activated"
    new = f"{count(found.too_early, 'is', 'are')} too new to count"
    sooner = f"{count(found.after_horizon, 'completion')} after H would come sooner."
    if found.activated and not found.at_most:
        everybody = f", {new}: everybody else" if found.too_early else ": everybody"
        return f"{now}{everybody} reaches the activation so far, so this catalog cannot tell who stays. At most {sooner}"
    others = [
        *([f"{count(found.lost, 'is', 'are')} lost at a step"] if found.lost else []),
        *([f"{found.went_another_way:,} went another way"] if found.went_another_way else []),
        *([new] if found.too_early else []),
    ]
    more = f"Guidance that brought every one of them through would add {found.at_most:,}: a bound, and no forecast"
    return f"{now}; of the others {', '.join(others)}. {more}. At most {sooner}"


def _show_losses(console: Console, found: Observed) -> None:
    heading(console, "Where users are lost", "after H: of the completed; past: left it out; lost: neither; open: H not over")
    rows = (
        (
            step.step,
            number(step.began),
            number(step.completed),
            number(step.after_horizon),
            number(step.passed),
            number(step.lost),
            percent(step.lost_share),
            number(step.too_early),
        )
        for step in found.steps[:MOST]
    )
    console.print(table(["~step", ">began", ">completed", ">after H", ">past", ">lost", ">", ">open"], rows))
    lines(console, Text("began leaves out who had done the step before it was next; `drop_off_rate_by_step` counts them.", style="dim"))
    if len(found.steps) > MOST:
        lines(console, Text(f"and {count(len(found.steps) - MOST, 'step')} where fewer are lost; --json has all", style="dim"))


def _show_looks(console: Console, found: Observed) -> None:
    note = f"right of those called stuck (score {100 * CALLED:.0f} % or more); H: 9 in 10 need less"
    heading(console, "How soon it can be known", note)
    rows, left_out = [], []
    for step in found.steps[:MOST]:
        if not step.leaves_look:
            left_out.append(plain(step.step))
            continue
        at = {look.share: look for look in step.looks}
        after = hours(None if step.horizon is None else step.horizon / HOUR)
        rows.append((step.step, after, number(step.stuck), *(_called(at.get(share)) for share in _SHOWN)))
    if rows:
        console.print(table(["~step", ">H", ">stuck", *(f">after {share:g} H" for share in _SHOWN)], rows))
    if left_out:
        lines(console, Text(f"{' and '.join(left_out)} {'is' if len(left_out) == 1 else 'are'} left out: {_NO_LOOK}", style="dim"))


def _called(look: StepLook | None) -> str:
    if look is None or not look.called:
        return "–"
    if look.called < LEAST_STUCK:
        return f"{look.right:,} of {look.called:,}"
    return f"{100 * look.right / look.called:.0f} % of {look.called:,}"


def _of_scores(report: RunReport) -> list[str]:
    found = report.frontier
    said = [against_time_alone(found)]
    if found.precision is not None and found.recall is not None:
        right, seen = percent(found.precision), percent(found.recall)
        stuck = f"the {count(found.stuck, 'time')} that a user was stuck"
        said.append(f"{count(found.alarms, 'alarm')} would have been raised: {right} right, finding {seen} of {stuck}.")
    return said + out_of_reach(report.learned)


def observed_json(report: RunReport) -> dict[str, Any] | None:
    """The same for machines, all steps and all looks: ``observed`` in ``onramp report --json``. None where people are guided."""
    found = report.observed
    if found is None:
        return None
    said = [sentence for _, sentence in summary(found)] if found.steps else []
    return {
        **pick(found, "users", "activated", "too_early"),
        "atMostMoreActivated": found.at_most,
        **pick(found, "lost", "went_another_way"),
        "atMostSooner": found.after_horizon,
        "calledFromScore": CALLED,
        "summary": dict(zip(("where", "howSoon", "worthAtMost"), said, strict=True)) if said else None,
        "steps": [_step(step) for step in found.steps],
        "frontier": frontier_json(report.frontier),
    }


def _step(step: StepLoss) -> dict[str, Any]:
    known = step.known
    return {
        "stepId": step.step,
        **pick(step, "began", "completed", "after_horizon", "passed", "lost", "lost_share", "too_early"),
        "horizonMs": step.horizon,
        **pick(step, "judged", "stuck"),
        "knownAtShare": None if known is None else known.share,
        "looks": [pick(look, "share", "people", "stuck", "called", "right", "precision", "found") for look in step.looks],
    }
