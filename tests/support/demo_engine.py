"""What the demo page needs of the job, in a few lines: a step completes upon its event, three errors are a reason to help."""

from __future__ import annotations

from typing import Any, Final, Protocol

from tests.support.fake_gateway import recommendation

#: Step, its title, its link, and what completes it: an event type and the value that names it, and how often.
STEPS: Final = (
    ("tour_sample", "look around the sample dashboard", "/sample/overview", "finish_tour", 1),
    ("connect_source", "connect a data source", "/sources/new", "source_connected", 1),
    ("build_dashboard", "build your first dashboard", "/dashboards/new", "save_dashboard", 1),
    ("add_charts", "add three charts", "/dashboards/recent", "chart_added", 3),
    ("invite_team", "invite a colleague", "/settings/people", "invite", 1),
    ("share_dashboard", "share a dashboard", "/dashboards/recent", "copy_share_link", 1),
)


class Records(Protocol):
    """Where the records of users are kept, as the fake gateway keeps them."""

    def recommend(self, user: str, record: dict[str, Any]) -> None:
        """Store a recommendation and push it."""

    def advance(self, user: str, record: dict[str, Any]) -> None:
        """Store progress and push it."""


class DemoEngine:
    """Reacts to the events of all users; set it as ``gateway.react``."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._users: dict[str, dict[str, Any]] = {}

    def __call__(self, event: dict[str, Any]) -> None:
        """Take one stored event."""
        user = str(event.get("userId"))
        state = self._users.setdefault(user, {"done": {}, "errors": 0, "version": 0, "name": "there"})
        payload, kind = event["payload"], event["eventType"]
        if kind == "signup":
            state["name"] = payload["traits"]["firstName"]
            self._progress(user, state)
            self._guide(user, state, "signup", "tooltip", f"Hi {state['name']}, good to have you here. A good first step in Tideboard:")
        elif kind == "error":
            state["errors"] += 1
            if state["errors"] == 3:
                self._guide(user, state, "stuck:errors", "modal", f"Those errors are in your way, {state['name']}. To go on:")
        name = event.get("name") or payload.get("target") or payload.get("form")
        step = self._current(state)
        if step and name == step[3] and kind != "error":
            state["done"][step[0]] = state["done"].get(step[0], 0) + 1
            if state["done"][step[0]] == step[4]:
                state["errors"] = 0
                self._progress(user, state)
                if self._current(state):
                    self._guide(user, state, "step_completed", "sidebar_hint", "Nicely done. The next step is ready when you are:")
                else:
                    state["version"] += 1
                    none = recommendation("", uiComponent="none", message="", reason="activated", version=state["version"])
                    self._records.recommend(user, none)

    def _current(self, state: dict[str, Any]) -> tuple[str, str, str, str, int] | None:
        return next((step for step in STEPS if state["done"].get(step[0], 0) < step[4]), None)

    def _guide(self, user: str, state: dict[str, Any], trigger: str, component: str, text: str) -> None:
        step = self._current(state)
        assert step is not None
        state["version"] += 1
        self._records.recommend(
            user,
            recommendation(
                f"{user}-{state['version']}.arm.mac",
                version=state["version"],
                trigger=trigger,
                stepId=step[0],
                deepLink=step[2],
                uiComponent=component,
                arm=f"moderate_{component}",
                message=f"{text} {step[1]}.",
            ),
        )

    def _progress(self, user: str, state: dict[str, Any]) -> None:
        step = self._current(state)
        state["version"] += 1
        statuses = ["done" if state["done"].get(each[0], 0) >= each[4] else "current" if each is step else "open" for each in STEPS]
        self._records.advance(
            user,
            {
                "version": state["version"],
                "pathId": "first_dashboard",
                "pathTitle": "Everyone else builds and shares a first dashboard",
                "steps": [
                    {"id": each[0], "title": each[1], "link": each[2], "status": status}
                    for each, status in zip(STEPS, statuses, strict=True)
                ],
                "nextStep": step[0] if step else None,
                "activatedAt": None if step else "2026-03-02T09:00:00Z",
                "updatedAt": "2026-03-02T09:00:00Z",
            },
        )
