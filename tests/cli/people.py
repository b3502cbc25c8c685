"""A tiny population for tests, run as a program: people who come by every six hours, and more often do a step after guidance.

``python people.py [MODE]``: ``well`` (the default) does its part, ``slow`` too; the other modes fail as their names say.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from random import Random
from typing import Any

SLOT = 900_000
HOUR = 3_600_000
GAP = 6 * HOUR
ALONE = 0.25
HELPED = 0.15
BEST = 0.4
SESSIONS = 200


class Somebody:
    """One person; ``luck`` is the same with and without guidance."""

    def __init__(self, number: int, begin: dict[str, Any]) -> None:
        product = begin["product"]
        self.random = Random(f"{begin['seed']}-{number}")
        self.user = f"u{number:04d}"
        self.path = product["paths"][number % len(product["paths"])]
        self.traits = self.path["traits"][0] if self.path["traits"] else {}
        spread = max(1, (begin["end"] - begin["start"]) * 3 // 10 // SLOT)
        self.signup = begin["start"] + self.random.randrange(spread) * SLOT
        self.luck = [self.random.random() for _ in range(SESSIONS)]
        self.errs = [self.random.random() < 0.2 for _ in range(SESSIONS)]
        self.session, self.done, self.sent = 0, 0, 0
        self.since = self.signup
        self.since_session = 1
        self.seen: set[str] = set()
        self.activated: int | None = None
        self.episodes: list[dict[str, Any]] = []
        self.exposures: list[dict[str, Any]] = []

    def at(self, session: int) -> int:
        """When this visit begins."""
        begins: int = self.signup + session * GAP
        return begins

    def alone(self, since: int, steps: int = 1) -> int | None:
        """When ``steps`` more steps would be done, counting from session ``since``, if nobody helped."""
        good = [session for session in range(since, SESSIONS) if self.luck[session] < ALONE]
        return self.at(good[steps - 1]) + 5 if len(good) >= steps else None

    def episode(self, completed: int | None) -> None:
        step = self.path["steps"][self.done]
        self.episodes.append(
            {
                "step": step, "since": self.since, "onset": self.since, "completedAt": completed,
                "untreatedAt": self.alone(self.since_session), "cause": "errors" if self.errs[self.since_session] else None,
            }
        )  # fmt: skip


class People:
    """All of them."""

    def __init__(self, begin: dict[str, Any]) -> None:
        self.begin, self.product = begin, begin["product"]
        self.steps = {step["id"]: step for step in self.product["steps"]}
        self.all = [Somebody(number, begin) for number in range(begin["users"])]
        last = max(1, len(self.product["arms"]) - 1)
        self.chance: dict[str, float] = {arm: ALONE + HELPED + BEST * place / last for place, arm in enumerate(self.product["arms"])}
        """Of doing the step in this visit; three more visits fall into the attribution window of a day."""
        self.expected = {arm: 1 - (1 - chance) * (1 - ALONE) ** 3 for arm, chance in self.chance.items()}

    def advance(self, start: int, until: int, records: dict[str, Any]) -> dict[str, Any]:
        events: list[dict[str, Any]] = []
        for person in self.all:
            if start <= person.at(person.session) < until:
                self._come_by(person, start, records.get(person.user), events)
                person.session += 1
        ahead = [person.at(person.session) for person in self.all if person.session < SESSIONS and person.activated is None]
        following = min(ahead, default=None)
        reads = [person.user for person in self.all if following is not None and person.session and person.at(person.session) == following]
        events.sort(key=lambda each: each["at"])
        return {"type": "events", "events": events, "reads": reads, "next": following}

    def _come_by(self, person: Somebody, now: int, record: dict[str, Any] | None, events: list[dict[str, Any]]) -> None:
        def send(kind: str, payload: dict[str, Any], **more: Any) -> None:
            at = now + len([each for each in events if each["event"]["userId"] == person.user])
            person.sent += 1
            event = {
                "eventId": f"{person.user}-{person.sent}", "tenantId": self.begin["tenant"], "userId": person.user, "schemaVersion": 1,
                "timestamp": datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds"),
                "eventType": kind, "payload": payload, **more,
            }  # fmt: skip
            events.append({"at": at, "event": event})

        if not person.session:
            send("signup", {"traits": person.traits})
            return
        if person.activated is not None:
            return
        step = person.path["steps"][person.done]
        chance = ALONE
        if record is not None and record["uiComponent"] != "none" and record["recommendationId"] not in person.seen:
            person.seen.add(record["recommendationId"])
            send("recommendation_shown", {"recommendationId": record["recommendationId"]})
            person.exposures.append(
                {
                    "decisionId": record["decisionId"], "recommendationId": record["recommendationId"], "trigger": record["trigger"],
                    "step": record["stepId"], "segment": "", "arm": record["arm"], "shownAt": now, "expected": self.expected,
                }
            )  # fmt: skip
            chance = self.chance[record["arm"]]
        send("page_view", {"path": self.steps[step]["page"]})
        if person.luck[person.session] < chance:
            for each in self.steps[step]["complete"][0]["events"]:
                send(each["eventType"], each["payload"], **({"name": each["name"]} if "name" in each else {}))
            person.episode(now + 5)
            person.done += 1
            person.since, person.since_session = now + 5, person.session + 1
            if set(self.path_goal(person)) <= set(person.path["steps"][: person.done]):
                person.activated = now + 5
        elif person.errs[person.session]:
            for _ in range(3):
                send("error", {"code": "E1", "message": "no"})

    def path_goal(self, person: Somebody) -> list[str]:
        goal: list[str] = person.path["activatedBy"]
        return goal

    def finish(self) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        for person in self.all:
            if person.activated is None:
                person.episode(None)
            needed = max(person.path["steps"].index(step) for step in self.path_goal(person)) + 1
            lines.append(
                {
                    "type": "person", "userId": person.user, "bot": False, "path": person.path["id"], "traits": person.traits,
                    "signupAt": person.signup, "activatedAt": person.activated, "untreated": {"activatedAt": person.alone(1, needed)},
                    "episodes": person.episodes, "exposures": person.exposures,
                }
            )  # fmt: skip
        prior = {"mean": 0.0, "sd": 1.0, "armSd": 0.5}
        horizons = dict.fromkeys(self.steps, 36 * HOUR)
        return [*lines, {"type": "world", "horizons": horizons, "prior": prior, "changedAt": None}, {"type": "done", "people": len(lines)}]


def main(mode: str) -> int:
    """Speak the protocol, or fail as asked."""
    people: People | None = None
    for turns, line in enumerate(sys.stdin, 1):
        asked = json.loads(line)
        if asked["type"] == "begin":
            people = People(asked)
            answer: list[dict[str, Any]] = [{"type": "ready", "protocol": 2 if mode == "future" else 1, "name": "test", "slotMs": SLOT}]
        elif asked["type"] == "advance":
            assert people is not None
            answer = [people.advance(asked["at"], asked["until"], asked["recommendations"])]
        else:
            assert people is not None
            answer = people.finish()
        if mode == "slow":
            time.sleep(0.2)
        if mode == "dies" and turns > 5:
            return 3
        if mode == "babbles" and turns > 5:
            sys.stdout.write("how are you?\n")
        if mode == "complains" and turns > 5:
            answer = [{"type": "error", "message": "the world has ended"}]
        if mode == "timeless" and asked["type"] == "advance":
            for each in answer[0]["events"]:
                if each["event"]["eventType"] == "page_view":
                    del each["event"]["timestamp"]
        if mode == "vague" and asked["type"] == "finish":
            for each in answer[:-2]:
                each["episodes"] = [{**episode, "onset": None} for episode in each["episodes"]]
        if mode == "half" and asked["type"] == "finish":
            answer = answer[:-1]
        for each in answer:
            sys.stdout.write(json.dumps(each) + "\n")
        sys.stdout.flush()
        if asked["type"] == "finish":
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "well"))
