"""The closed sets of names that all rooms share: event types, triggers, reasons, tones, components."""

from __future__ import annotations

from typing import Final, Literal, get_args

EventType = Literal[
    "signup",
    "identify",
    "page_view",
    "button_click",
    "form_submit",
    "track",
    "error",
    "step_completed",
    "recommendation_shown",
    "recommendation_clicked",
    "recommendation_dismissed",
    "tooltip_dismiss",
    "preferences_changed",
    "user_deleted",
    "identity_merged",
]
EVENT_TYPES: Final[frozenset[str]] = frozenset(get_args(EventType))

USER_DELETED: Final = "user_deleted"
IDENTITY_MERGED: Final = "identity_merged"
SWITCHED: Final = "guidance_switched"
"""The type of the events that concern a tenant and no user: ``userId`` is the name of who switched. Only ``onramp guidance`` sends them."""
KNOWN_TYPES: Final = EVENT_TYPES | {SWITCHED}
SWITCH_ACTIONS: Final = ("pause", "resume", "ramp")

Trigger = Literal[
    "signup",
    "step_completed",
    "stuck:inactive",
    "stuck:errors",
    "stuck:rage_clicks",
    "stuck:looping",
    "stuck:slow_step",
]
TRIGGERS: Final[tuple[Trigger, ...]] = get_args(Trigger)
STUCK_TRIGGERS: Final[tuple[Trigger, ...]] = tuple(t for t in TRIGGERS if t.startswith("stuck:"))

Tone = Literal["aggressive", "moderate", "passive"]
TONES: Final[tuple[Tone, ...]] = get_args(Tone)

UiComponent = Literal["tooltip", "modal", "sidebar_hint", "email_trigger"]
Surface = Literal["in_app", "email"]
SURFACE: Final[dict[str, Surface]] = {"tooltip": "in_app", "modal": "in_app", "sidebar_hint": "in_app", "email_trigger": "email"}
"""Where a component is delivered. The arms of one decision share a surface, so that being shown does not depend on the arm."""

NO_COMPONENT: Final = "none"

REASONS: Final[dict[str, str]] = {
    "deleted": "the user was deleted",
    "merged": "the visitor became a known user, who is guided instead",
    "no_path": "no path of the catalog matches the user's traits",
    "activated": "the user has reached the activation of the path",
    "opted_out": "the user switched guidance off, altogether or on this channel",
    "observing": "the catalog only observes: nobody is guided",
    "existing_person": "the user does not begin the onboarding, by the catalog's `starts`",
    "guidance_paused": "guidance is paused for everybody, by `onramp guidance pause`",
    "outside_ramp": "the user is not among the share of users who may be guided, by `onramp guidance ramp`",
    "holdout": "the user is in the group that gets no guidance, to measure its effect",
    "suspected_bot": "the account behaves like a bot: too fast, too regular, without rest or with nothing but views",
    "trigger_disabled": "the catalog switches this trigger off",
    "no_alarms": "the catalog gives this step no alarms (`alarms: false`)",
    "quiet_hours": "the user asked not to be disturbed at this hour",
    "cap_reached": "the user had as many decisions in the last 24 hours as the catalog allows",
    "cooldown": "the last decision for this user is too recent",
    "no_step": "no step of the path is open to the user now",
    "no_arm": "no arm has a template for this trigger and step on a surface that delivers",
}
"""Reason code of a non-decision → its description."""

WORDING_REASONS: Final[dict[str, str]] = {
    # before a model is asked
    "no_wording": "the catalog allows no texts by a model",
    "rules_group": "the user is in the group that is guided by rule",
    "template_share": "drawn to keep the template, so that the two can be compared",
    "no_consent": "the user switched off texts that a model writes",
    "cold_start": "too few events of the user are known",
    "language": "the user's language is not among the catalog's `languages`",
    # while the call waits
    "shown_first": "the template was shown before the answer came",
    "superseded": "newer guidance replaced it",
    "forgotten": "the user was deleted",
    "shed": "too many calls were waiting",
}
"""Why a decision kept its template. The client (``llm/client/failures.py``) and the guardrails (``llm/guardrails/``) have more codes."""
