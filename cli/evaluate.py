"""``onramp evaluate``."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.failures import say
from cli.options import DataDirOption, JsonOption


def evaluate(
    policy: Annotated[
        str,
        typer.Option("--policy", metavar="POLICY", help="uniform, greedy, arm:ID or table:SEGMENT=ARM,SEGMENT=ARM.", show_default=False),
    ],
    trigger: Annotated[str | None, typer.Option("--trigger", help="Only the decisions upon this trigger, like signup.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="One tenant; without it the biggest.")] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Estimate what another policy would have earned, from the logged decisions and their probabilities.

    With table: a segment that the table does not name gets the uniform choice: every arm that may be shown, with the same probability.
    So does a decision at which the named arm of table: or arm: may not be shown. A segment or an arm changes nothing if no shown decision
    with a closed attribution window has it; a line names it.

    The value is the share of shown recommendations after which the user completes the step in time. Where the log holds too little about
    the policy, a sentence says so and the exit code is 1.

    \b
    Example:  onramp evaluate --policy uniform
              onramp evaluate --policy greedy --trigger signup
              onramp evaluate --policy arm:moderate_tooltip --json
              onramp evaluate --policy table:engineer=passive_tooltip,admin=moderate_tooltip
    """
    from cli.demo_dir import for_reading
    from cli.options import load
    from cli.stores import open_facts

    settings = for_reading(load(data_dir=data_dir))
    with open_facts(settings) as facts:
        from evaluation.off_policy import Refused
        from reports import policy_value
        from reports.evidence import load as load_evidence
        from reports.render import out, print_json

        chosen = tenant if tenant is not None else facts.biggest_tenant()
        evidence = load_evidence(facts.frame, chosen)
    try:
        found, logged, notes = policy_value.estimate(evidence, policy, trigger)
    except policy_value.UnknownTriggerError as error:
        raise typer.BadParameter(str(error), param_hint="'--trigger'") from None
    best = found["dr"]
    if as_json:
        print_json(
            {
                "policy": policy,
                "trigger": trigger,
                **policy_value.head(best),
                "logged": logged,
                "notes": notes,
                "estimators": {name: policy_value.method_json(each) for name, each in found.items()},
            }
        )
    elif not isinstance(best, Refused):
        policy_value.show(out(), policy, trigger, found, logged, notes)
    if isinstance(best, Refused):
        for note in notes:
            say(f"{note}.")
        say(f"{'the log does not say' if best.decisions else 'nothing to evaluate yet'}: {best.reason}.")
        raise typer.Exit(1)
