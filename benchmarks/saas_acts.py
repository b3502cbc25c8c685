"""The events of each step of the catalog ``saas``, as constants: a benchmark's input must not change with the measured code.

A step has a name, a page, minutes of work, further pages, controls, the error that it may show, and the events that complete it.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple


def act(kind: str, name: str = "", /, **payload: Any) -> str:
    """Return type, name and payload of an event as JSON members, without the braces."""
    named = f',"name":"{name}"' if name else ""
    return f'"eventType":"{kind}"{named},"payload":{json.dumps(payload, separators=(",", ":"))}'


def page(path: str) -> str:
    """Return the page view of ``path``."""
    return act("page_view", path=path)


class Step(NamedTuple):
    """A step with its encoded events. ``minutes``: median time of work."""

    page: str
    minutes: float
    work: tuple[str, ...]
    error: str
    finish: tuple[str, ...]


def _step(name: str, path: str, minutes: float, pages: str, controls: str, error: str, *finish: str) -> tuple[str, Step]:
    clicks = [*controls.split(), f"{name}-open", f"{name}-edit", f"{name}-more"]
    work = [*map(page, pages.split()), *(act("button_click", target=target) for target in clicks)]
    code, _, target = error.partition("@")
    failed = act("error", code=code, message="It did not work.", target=target or name)
    return name, Step(act("page_view", path=path, title=name.replace("_", " ")), minutes, tuple(work), failed, finish)


def _track(event: str, **payload: Any) -> str:
    return act("track", event, **payload)


def _form(form: str, **payload: Any) -> str:
    return act("form_submit", form=form, **payload)


STEPS: Final = dict(
    [
        _step("tour_sample", "/sample/overview", 2.4, "", "tour_next tour_back", "timeout", act("button_click", target="finish_tour")),
        _step("create_workspace", "/settings/workspace", 2, "/settings/workspace", "", "validation_failed@workspace", _form("workspace")),
        _step(
            *("connect_source", "/sources/new", 10, "/sources /sources/main", "test_connection choose_source open_source_guide"),
            *("http_500@source_host", _track("source_connected", status="connected")),
        ),
        _step(
            *("build_dashboard", "/dashboards/new", 8, "/dashboards/new/blank /dashboards/new/team", "dashboard_title dashboard_layout"),
            *("validation_failed@dashboard", _track("dashboard_created")),
        ),
        _step(
            *("add_charts", "/dashboards/recent", 12, "/dashboards/edit /dashboards/edit/first", "add_chart chart_type chart_filter"),
            *("timeout@chart", *[_track("chart_added", kind="line")] * 3),
        ),
        _step(
            *("invite_team", "/settings/people", 4, "/settings/people", "invite_people copy_invite_link"),
            *("validation_failed@invite_address", _track("invite_sent", count=1)),
        ),
        _step(
            *("share_dashboard", "/dashboards/recent", 4.8, "/dashboards/share", "open_share_menu share_settings"),
            *("permission_denied", _track("dashboard_shared", recipients=2)),
        ),
        _step("comment", "/dashboards/recent", 6, "", "open_comments mention_someone", "timeout", _track("comment_posted", mentions=1)),
        _step(
            *("schedule_report", "/reports/schedule", 4.8, "/reports/schedule/new", "", "validation_failed@schedule"),
            _form("schedule_report", frequency="weekly"),
        ),
        _step("set_alert", "/alerts/new", 4, "/alerts /alerts/main", "", "validation_failed@alert", _form("alert", threshold=10)),
        _step(
            *("run_query", "/query/new", 7.2, "/query /query/main", "run_query format_query open_schema", "syntax@query"),
            _track("query_ran", result={"status": "ok", "rows": 12}),
        ),
        _step(
            *("install_snippet", "/developers/snippet", 12, "/developers/snippet/web", "copy_snippet check_installation"),
            *("not_seen@snippet", _track("snippet_detected", environment="staging")),
        ),
        _step("verify_events", "/developers/live", 8, "/developers/live/all", "", "timeout@live", _track("events_verified", kinds=3)),
        _step("create_api_key", "/developers/keys", 2.4, "/developers/keys", "key_scope key_name", "http_500", _track("api_key_created")),
        _step(
            *("first_api_call", "/developers/quickstart", 12, "/developers/quickstart/curl", "", "api_401"),
            _track("api_request", status=200),
        ),
        _step(
            *("define_funnel", "/funnels/new", 8, "/funnels /funnels/main", "funnel_step funnel_window", "validation_failed@funnel"),
            _track("funnel_saved", steps=3),
        ),
        _step("create_segment", "/segments/new", 6, "/segments /segments/main", "", "validation_failed@segment", _form("segment")),
        _step(
            *("connect_ads", "/sources/ads", 8, "/sources/ads/new", "authorize_google authorize_meta", "oauth_denied"),
            _track("integration_connected", category="ads"),
        ),
        _step(
            *("tag_campaigns", "/campaigns/tags", 8, "/campaigns /campaigns/main", "", "validation_failed@campaign"),
            *[_track("campaign_tagged", campaign="spring")] * 2,
        ),
        _step(
            "attribution_report", "/reports", 6, "", "attribution_model attribution_range", "timeout", page("/reports/attribution/first")
        ),
        _step("set_roles", "/admin/roles", 8, "/admin/roles/all", "", "permission_denied@role", _form("roles")),
        _step("enable_sso", "/admin/sso", 12, "/admin/sso/check", "", "validation_failed@sso", _track("sso_enabled", verified=True)),
        _step("review_usage", "/admin", 3.2, "", "", "timeout", page("/admin/usage")),
        _step(
            "pick_template",
            "/templates",
            3.2,
            "/templates",
            "preview_template",
            "timeout",
            act("button_click", target="use_template_sales"),
        ),
        _step("follow_dashboard", "/dashboards/recent", 2.4, "/dashboards/view/first", "", "timeout", _track("dashboard_followed")),
    ]
)

PATHS: Final[tuple[tuple[dict[str, str], str], ...]] = (
    ({"persona": "engineer"}, "create_workspace install_snippet verify_events create_api_key first_api_call build_dashboard invite_team"),
    (
        {"persona": "product_manager", "useCase": "retention"},
        "tour_sample connect_source define_funnel create_segment build_dashboard share_dashboard set_alert",
    ),
    ({"persona": "marketer"}, "connect_ads tag_campaigns attribution_report build_dashboard schedule_report"),
    ({"persona": "admin", "companySize": "51-200"}, "create_workspace set_roles enable_sso connect_source invite_team review_usage"),
    ({"persona": "executive"}, "tour_sample pick_template follow_dashboard set_alert"),
    (
        {"persona": "analyst", "useCase": "reporting"},
        "connect_source run_query build_dashboard add_charts share_dashboard schedule_report invite_team comment",
    ),
    ({"persona": "other"}, "tour_sample connect_source build_dashboard add_charts invite_team share_dashboard"),
)
"""For each path: the traits that match it, and its steps in order."""
