"""``onramp llm``: shows the prompt, the model's answer and its checks for one decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.support.local_model import LlmOption
from cli.support.options import CatalogsOption, DataDirOption, JsonOption
from state.quantity import count

if TYPE_CHECKING:
    from flows.settings import Settings
    from llm.service import Preview
    from state.catalog.plan import Plan
    from state.decision.wording_request import WordingRequest


class ModelTryError(Exception):
    """No model could be called, or it gave no answer. The text is one sentence for the user."""


_MARGIN_SECONDS: Final = 10.0  # beside the model's own timeout, for opening and closing the client
_NOT_SENT: Final = {
    "injection_suspected": "no request is sent, because the user's words read like orders to the model",
    "redaction_failed": "no request is sent, because personal data could not be removed from the user's words",
}


def attempt(
    user: Annotated[str, typer.Option("--user", metavar="USER", help="The user's userId.")],
    tenant: Annotated[str, typer.Option("--tenant", help="The user's tenant.")] = "default",
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", metavar="VERSION", help="The prompt to use. [default: as the catalog says]", show_default=False),
    ] = None,
    llm: LlmOption = None,
    catalog: CatalogsOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Call a model for a user's newest decision and check its answer, as the job would. Shows the prompt without personal data, each
    check in order, the text as the user would read it, and tokens, seconds and cost. Without --llm it calls ONRAMP_LLM_URL.

    Nothing is written: no record changes, no budget is counted, nothing is cached or queued for review. u000042 is an example;
    the users of a demo have such names, and `onramp demo` ends with one that you can try.

    \b
    Example:  onramp llm try --user u000042 --llm local
              onramp llm try --user u000042 --prompt nudge-2 --json
    """
    from cli.support.demo_dir import demo_catalog, for_reading
    from cli.support.live_job import with_catalog_of_job
    from cli.support.local_model import chosen_model
    from cli.support.options import load
    from cli.support.past_request import UnknownUserError, find_request
    from cli.support.stores import open_facts
    from cli.support.unknown_user import unknown_user

    settings = for_reading(load(data_dir=data_dir, catalog=catalog))
    if llm is None and settings.llm_url is None:
        raise ModelTryError("no model is set: name a server with --llm URL or ONRAMP_LLM_URL, or use --llm local.")
    if catalog is None and (of_demo := demo_catalog(settings.data_dir)) is not None:
        settings = settings.model_copy(update={"catalog": of_demo})
    settings = with_catalog_of_job(settings)
    plan = _plan(settings, tenant, prompt)
    with open_facts(settings) as facts:
        try:
            request = find_request(facts, plan, tenant, user)
        except UnknownUserError:
            raise ModelTryError(unknown_user(settings, tenant, user)) from None
    if llm is None:
        preview = _preview(settings, plan, request)
    else:
        with chosen_model(llm) as model:
            preview = _preview(settings.model_copy(update=model), plan, request)
    failed = _NOT_SENT.get(preview.answer.reason) or preview.advice
    if as_json:
        from reports.render import print_json

        print_json(_as_json(request, preview))
        if failed:
            raise ModelTryError(f"{failed}; the template stays.")
        return
    if preview.prompt is not None:
        _show(request, preview)
    if failed:
        raise ModelTryError(f"{failed}; the template stays.")


def _plan(settings: Settings, tenant: str, prompt: str | None) -> Plan:
    """The plan of the tenant's catalog, changed so that every decision may be worded: the user wants a text, not why there is none."""
    from flows.catalogs import catalog_of
    from state.catalog.model import PromptShare
    from state.catalog.plan import Plan

    catalog = catalog_of(settings.catalog, tenant)
    policy = catalog.wording
    if policy is None:
        raise ModelTryError(f"the catalog {settings.catalog} has no wording section, so that no model may word anything.")
    changes: dict[str, Any] = {"template_share": 0.0, "cold_events": 0}
    if prompt is not None:
        try:
            changes["prompts"] = [PromptShare(version=prompt)]
        except ValueError:
            raise ModelTryError(f"{prompt[:100]!r} is no name of a prompt; name a file of the prompts without its .yaml.") from None
    return Plan(catalog.model_copy(update={"wording": policy.model_copy(update=changes)}), wording=True)


def _preview(settings: Settings, plan: Plan, request: WordingRequest) -> Preview:
    from flows.model_service import open_model
    from operators.async_map import run_in_background
    from state.catalog.by_tenant import ByTenant

    with open_model(settings, ByTenant(plan), "redis://127.0.0.1:1", stopping=lambda: False) as model:  # a preview does not use Redis
        assert model is not None, "the settings name a model and the plan has a policy"
        preview: Preview = run_in_background(model.service.preview(request), settings.llm_timeout_seconds + _MARGIN_SECONDS)
    return preview


def _as_json(request: WordingRequest, preview: Preview) -> dict[str, Any]:
    record, answer, usage = request.record, preview.answer, preview.answer.usage
    return {
        "tenantId": record.tenant_id,
        "userId": record.user_id,
        "decisionId": record.decision_id,
        "pathId": record.path_id,
        "stepId": record.step_id,
        "trigger": record.trigger,
        "arm": record.arm,
        "scope": "personal" if request.personal else "shared",
        "promptVersion": request.prompt,
        "system": preview.prompt.system if preview.prompt is not None else None,
        "user": preview.prompt.user if preview.prompt is not None else None,
        "template": record.message,
        "text": answer.text or None,
        "unfilled": preview.unfilled or None,
        "refusedText": preview.refused or None,
        "waitsForReview": preview.waits,
        "reason": answer.reason or None,
        "confidence": preview.confidence if preview.unfilled else None,
        "checks": [{"check": each.check, "reason": each.reason or None, "detail": each.detail or None} for each in answer.checks],
        "model": usage.model or None,
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "costDollars": usage.cost_micros / 1e6,
        "latencyMs": usage.latency_ms,
        "attempts": usage.attempts,
        "tokensEstimated": usage.estimated,
        "advice": preview.advice or None,
        "serverDoesNotTake": list(preview.changes),
    }


def _show(request: WordingRequest, preview: Preview) -> None:
    from rich.text import Text

    from reports.render import dollars, heading, lines, number, out, table
    from state.plain_text import plain

    console, record, answer, usage = out(), request.record, preview.answer, preview.answer.usage
    place = f"{plain(record.arm)} upon {plain(record.trigger)} at {plain(record.step_id)}"
    console.print(Text(f"{plain(record.user_id)}: {place}, {plain(record.created_at)}", style="bold"))
    if preview.prompt is not None:
        scope = "for this user alone" if request.personal else "for everybody in this place"
        heading(console, "The prompt", f"{plain(preview.prompt.version)}, {scope}")
        for role, text in (("system", preview.prompt.system), ("user", preview.prompt.user)):  # as it is sent: not wrapped, not indented
            console.print(Text(f"── {role} ──", style="dim"))
            console.out("\n".join(plain(line) for line in text.split("\n")), highlight=False)
        console.print(Text("── end ──", style="dim"))
    if answer.checks:
        heading(console, "The checks of the answer")
        console.print(
            table(["check", "result", "~in words"], ((each.check, each.reason or "passed", each.detail) for each in answer.checks))
        )
    if preview.refused:
        title, who = ("The refused text", "users never see it")
        if preview.waits:
            title, who = ("The text", "users see it only if somebody approves it")
        heading(console, title, f"{who}; its slots are not filled")
        lines(console, Text(plain(preview.refused), style="dim"))
    heading(console, "What the user reads")
    lines(console, Text(plain(record.message), style="dim" if answer.text else ""))
    if answer.text:
        console.print()
        lines(console, Text(plain(answer.text)))
    console.print()
    why = f" ({plain(answer.reason)})" if answer.reason else ""
    waits = " In the job the text would wait for `onramp review`." if preview.waits else ""
    result = f"The second text: confidence {preview.confidence:.2f}." if answer.text else f"The template stays{why}.{waits}"
    estimated = " (estimated: the server did not count them)" if usage.estimated else ""
    spent = f"{number(usage.input_tokens)} + {count(usage.output_tokens, 'token')}{estimated}, {dollars(usage.cost_micros / 1e6)}"
    took = f" {plain(usage.model) or 'The attempt'} took {usage.latency_ms / 1000:.1f} s, {spent}." if usage.attempts else ""
    console.print(Text(result + took, style="dim"))
    for change in preview.changes:
        lines(console, Text(f"{change[:1].upper()}{change[1:]}.", style="dim"))
