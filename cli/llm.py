"""``onramp llm``: look at what a model is asked and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.local_model import LlmOption
from cli.options import CatalogOption, DataDirOption, JsonOption

if TYPE_CHECKING:
    from flows.settings import Settings
    from llm.answer import Prompt
    from llm.guardrails import Filled
    from llm.service import Made
    from state.catalog.plan import Plan
    from state.decision.wording_request import Wish


class ModelTryError(Exception):
    """Nothing could be asked or answered. The text is one sentence for the user."""


_NOT_ASKED: Final = {
    "injection_suspected": "nothing is asked, because the person's words read like orders to the model",
    "redaction_failed": "nothing is asked, because what names the person could not be taken out of their words",
}


def attempt(
    user: Annotated[str, typer.Option("--user", metavar="USER", help="The person's userId.")],
    tenant: Annotated[str, typer.Option("--tenant", help="The person's tenant.")] = "default",
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", metavar="VERSION", help="The prompt to use. [default: as the catalog says]", show_default=False),
    ] = None,
    llm: LlmOption = None,
    catalog: CatalogOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Ask a model about a person's newest decision and judge its answer, as the job would: the prompt with what names the person taken out,
    each check in order, the text as the person would read it, tokens, seconds and cost. Without --llm, ONRAMP_LLM_URL is asked.

    Nothing is written anywhere: no record changes, no budget is counted, nothing is cached or queued for review. u000042 is an example;
    the people of a demo are named so, and `onramp demo` ends with somebody to try.

    \b
    Example:  onramp llm try --user u000042 --llm local
              onramp llm try --user u000042 --prompt nudge-2 --json
    """
    from cli.demo_dir import demo_catalog, for_reading
    from cli.local_model import chosen_model
    from cli.options import load
    from cli.past_wish import find_wish
    from cli.stores import open_facts

    settings = for_reading(load(data_dir=data_dir, catalog=catalog))
    if llm is None and settings.llm_url is None:
        raise ModelTryError("no model is set: name a server with --llm URL or ONRAMP_LLM_URL, or say --llm local.")
    if catalog is None and (of_demo := demo_catalog(settings.data_dir)) is not None:
        settings = settings.model_copy(update={"catalog": of_demo})
    plan = _plan(settings, prompt)
    with open_facts(settings, "onramp llm try") as facts:
        wish = find_wish(facts, plan, tenant, user)
    if llm is None:
        asked, made, filled, refused = _ask(settings, plan, wish)
    else:
        with chosen_model(llm) as model:
            asked, made, filled, refused = _ask(settings.model_copy(update=model), plan, wish)
    failed = _failed(made.reason)
    if failed and asked is None and not as_json:
        raise ModelTryError(f"{failed}; the template stays.")
    if as_json:
        from reports.screen import print_json

        print_json(_as_json(wish, asked, made, filled, refused))
    else:
        _show(wish, asked, made, filled, refused)
    if failed:
        if as_json:
            raise typer.Exit(1)
        raise ModelTryError(f"{failed}; the template stays.")


def _failed(reason: str) -> str:
    """Why there is no answer to judge; empty where there is one."""
    from llm.causes import SENTENCES

    return _NOT_ASKED.get(reason) or next((said for code, said in SENTENCES.items() if code == reason), "")


def _plan(settings: Settings, prompt: str | None) -> Plan:
    """The catalog's plan, where everybody's decision may be worded: who asks wants to see a text, not why there would be none."""
    from flows.catalogs import load_catalog
    from state.catalog.model import PromptShare
    from state.catalog.plan import Plan

    catalog = load_catalog(settings.catalog)
    policy = catalog.wording
    if policy is None:
        raise ModelTryError(f"the catalog {settings.catalog} has no wording section, so that no model may word anything.")
    changes: dict[str, Any] = {"template_share": 0.0, "cold_events": 0}
    if prompt is not None:
        changes["prompts"] = [PromptShare(version=prompt)]
    return Plan(catalog.model_copy(update={"wording": policy.model_copy(update=changes)}), wording=True)


def _ask(settings: Settings, plan: Plan, wish: Wish) -> tuple[Prompt | None, Made, Filled | None, str]:
    from flows.model_service import open_model
    from llm.guardrails import Guardrails
    from operators.async_map import run_in_background

    with open_model(settings, plan, "redis://127.0.0.1:1", stopping=lambda: False) as model:  # a preview never speaks to Redis
        assert model is not None, "the settings name a model and the plan has a policy"
        asked, made, refused = run_in_background(model.wordsmith.preview(wish))
    return asked, made, None if made.reason else Guardrails(plan).fill(made.text, wish), refused


def _as_json(wish: Wish, asked: Prompt | None, made: Made, filled: Filled | None, refused: str) -> dict[str, Any]:
    record = wish.record
    verdicts = [*made.verdicts, *(filled.verdicts if filled is not None else ())]
    return {
        "tenantId": record.tenant_id, "userId": record.user_id, "decisionId": record.decision_id, "pathId": record.path_id,
        "stepId": record.step_id, "trigger": record.trigger, "arm": record.arm, "scope": "personal" if wish.personal else "shared",
        "promptVersion": wish.prompt, "system": asked.system if asked is not None else None,
        "user": asked.user if asked is not None else None, "template": record.message,
        "text": filled.text or None if filled is not None else None, "unfilled": made.text or None,
        "refusedText": refused or None,
        "reason": made.reason or next((verdict.reason for verdict in verdicts if verdict.reason), "") or None,
        "confidence": made.confidence if made.text else None,
        "verdicts": [{"check": each.check, "reason": each.reason or None, "detail": each.detail or None} for each in verdicts],
        "model": made.model or None, "inputTokens": made.input_tokens, "outputTokens": made.output_tokens,
        "costDollars": made.cost_micros / 1e6, "latencyMs": made.latency_ms, "attempts": made.attempts,
    }  # fmt: skip


def _show(wish: Wish, asked: Prompt | None, made: Made, filled: Filled | None, refused: str) -> None:
    from rich.text import Text

    from reports.plain import plain
    from reports.screen import heading, lines, number, out, table
    from reports.wordings import dollars

    console, record = out(), wish.record
    who = (
        f"{plain(record.user_id)}: {plain(record.arm)} upon {plain(record.trigger)} at {plain(record.step_id)}, {plain(record.created_at)}"
    )
    console.print(Text(who, style="bold"))
    if asked is not None:
        scope = "for this person alone" if wish.personal else "for everybody in this place"
        heading(console, "What the model is told", f"prompt {plain(asked.version)}, {scope}")
        for role, told in (("system", asked.system), ("user", asked.user)):  # as it is sent: neither wrapped nor indented
            console.print(Text(f"── {role} ──", style="dim"))
            console.out("\n".join(plain(line) for line in told.split("\n")), highlight=False)
        console.print(Text("── end ──", style="dim"))
    judged = [("as answered", each) for each in made.verdicts]
    judged += [("slots filled", each) for each in (filled.verdicts if filled is not None else ())]
    if judged:
        heading(console, "How its answer is judged")
        rows = ((text, each.check, each.reason or "passed", each.detail) for text, each in judged)
        console.print(table(["text", "check", "verdict", "~in words"], rows))
    if refused:
        heading(console, "What was refused", "nobody is shown this; slots are not filled")
        lines(console, Text(plain(refused), style="dim"))
    heading(console, "What the person reads")
    improved = filled is not None and filled.ok
    lines(console, Text(plain(record.message), style="dim" if improved else ""))
    if improved and filled is not None:
        console.print()
        lines(console, Text(plain(filled.text)))
    console.print()
    why = f" ({plain(made.reason)})" if made.reason else ""
    ended = f"The second: confidence {made.confidence:.2f}." if improved else f"The template stays{why}."
    spent = f"{number(made.input_tokens)} + {number(made.output_tokens)} tokens, {dollars(made.cost_micros / 1e6)}"
    took = f" {plain(made.model) or 'The attempt'} took {made.latency_ms / 1000:.1f} s, {spent}." if made.attempts else ""
    console.print(Text(ended + took, style="dim"))
