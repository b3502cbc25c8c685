"""``onramp evaluate``."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.support.failures import say
from cli.support.options import DataDirOption, JsonOption


def evaluate(
    policy: Annotated[
        str,
        typer.Option("--policy", metavar="POLICY", help="uniform, greedy, arm:ID or table:SEGMENT=ARM,SEGMENT=ARM.", show_default=False),
    ],
    trigger: Annotated[str | None, typer.Option("--trigger", help="Only the decisions upon this trigger, like signup.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="One tenant; without it the one with most users.")] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Estimate what another policy would have earned, from the logged decisions and their probabilities.

    With table: a segment that the table does not name gets the uniform choice: every arm that may be shown, with the same probability.
    So does a decision at which the named arm of table: or arm: may not be shown. A segment or an arm changes nothing if no shown decision
    with a closed attribution window has it; a line names it.

    The value is the share of shown recommendations after which the user completes the step in time. What was logged is measured on the
    same decisions: greedy learns on the first 30 %, and is valued on the others. Where the log holds too little about
    the policy, a sentence says so and the exit code is 1.

    \b
    Example:  onramp evaluate --policy uniform
              onramp evaluate --policy greedy --trigger signup
              onramp evaluate --policy arm:moderate_tooltip --json
              onramp evaluate --policy table:engineer=passive_tooltip,admin=moderate_tooltip
    """
    from cli.support.demo_dir import for_reading
    from cli.support.options import load
    from cli.support.stores import open_facts

    settings = for_reading(load(data_dir=data_dir))
    with open_facts(settings) as facts:
        from evaluation.off_policy import Refused
        from reports import policy_value
        from reports.evidence import load as load_evidence
        from reports.render import out, print_json
        from state.plain_text import plain

        known = facts.tenants()
        chosen = tenant if tenant is not None else next(iter(known), "default")
        evidence = load_evidence(facts.frame, chosen) if chosen in known else None
    try:
        found, logged, notes = policy_value.nobody(policy, chosen) if evidence is None else policy_value.estimate(evidence, policy, trigger)
    except policy_value.UnknownTriggerError as error:
        raise typer.BadParameter(str(error), param_hint="'--trigger'") from None
    best = found["dr"]
    named = chosen if evidence is not None and (chosen != "default" or len(known) > 1) else ""
    if as_json:
        print_json(
            {
                "tenantId": chosen,
                "policy": policy,
                "trigger": trigger,
                **policy_value.head(best),
                "logged": logged,
                "notes": notes,
                "estimators": {name: policy_value.method_json(each) for name, each in found.items()},
            }
        )
    elif not isinstance(best, Refused):
        policy_value.show(out(), policy, trigger, found, logged, notes, named)
    if isinstance(best, Refused):
        for note in notes:
            say(f"{note}.")
        where = f" {'of' if best.decisions else 'in'} tenant {plain(named)}" if named else ""
        say(f"{f'the log{where} does not say' if best.decisions else f'nothing to evaluate yet{where}'}: {best.reason}.")
        raise typer.Exit(1)
