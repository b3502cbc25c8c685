"""What a page of the browser tests shows: components and progress."""

from __future__ import annotations

COMPONENTS = ["tooltip", "modal", "sidebar_hint"]
STEPS = [
    {"id": "tour", "title": "look around", "link": "/sample", "status": "done"},
    {"id": "connect_source", "title": "connect a data source", "link": "/sources/new", "status": "current"},
    {"id": "share", "title": "share a dashboard", "link": "/share", "status": "open"},
]


def progress(version: int = 1, steps: list[dict[str, str]] = STEPS) -> dict[str, object]:
    return {"version": version, "pathId": "p", "pathTitle": "Everyone", "steps": steps, "nextStep": "connect_source", "activatedAt": None}
