"""One simulated person: follows the untreated trajectory of each step until guidance cuts it short.

Before the first showing a person's acts equal those of the untreated twin.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from operator import itemgetter
from typing import Any, Final

import msgspec

from population import behaviour, draws
from population.clock import HOUR, MINUTE, SECOND, unix_ms
from population.person import Person
from population.product import act
from population.transport import Sender, Transport
from population.truth import Episode, Exposure, Truth, UntreatedTwin
from population.untreated import HOME, OPT_OUT, OTHERS, TimedAct, visits_after_path
from population.world import World

_SHOWN, _CLICKED, _DISMISSED = "recommendation_shown", "recommendation_clicked", "recommendation_dismissed"
_NEAR: Final = 2 * MINUTE
"""Help less than this long before the untreated completion has no effect."""
_at: Final = itemgetter(0)


class Record(msgspec.Struct, rename="camel"):
    """The fields of a recommendation that an app uses."""

    decision_id: str
    recommendation_id: str
    step_id: str | None = None
    trigger: str = ""
    arm: str = ""
    ui_component: str = "none"
    expires_at: str | None = None

    def shows_at(self, at: int) -> bool:
        """Return whether an app shows the record at ``at``."""
        return self.ui_component != "none" and (self.expires_at is None or at < unix_ms(self.expires_at))


def report(record: Record, what: str) -> bytes:
    """Return the fields of an event of type ``what`` about ``record``."""
    return act("app", what, {"recommendationId": record.recommendation_id}).text


class SimulatedPerson:
    """A person from sign-up on. ``next_at``: time of the next act, Unix ms; None: there is none."""

    def __init__(self, world: World, person: Person, tenant: str, *, messy: bool) -> None:
        self.person, self.user_id = person, person.user_id
        self.next_at: int | None = person.signup_at
        self.reads = False
        self.episodes: list[Episode] = []
        self.exposures: list[Exposure] = []
        self.activated_at: int | None = None
        self._world = world
        self._sender = Sender(person.key, person.user_id, tenant, messy=messy)
        self._steps = world.order[person.path.id] if person.path else ()
        self._goal = world.goal[person.path.id] if person.path else frozenset()
        self._step_index = -1
        self._step_began = (person.signup_at, 1)
        self._session = 1
        self._script: list[TimedAct] = []
        self._position = 0
        self._completes_at: int | None = None
        self._causes: list[tuple[str | None, int]] = []
        self._seen: list[tuple[int, str]] = []
        self._shown: set[str] = set()
        self._opted_out = False

    def advance(self, until: int, record: Record | None, transport: Transport) -> None:
        """Simulate until ``until``; ``record`` is the record that the app read at the beginning of the slot."""
        if not self.reads:
            self._sign_up(transport)
        shown_at = self._showing_time(record, until)
        while self._position < len(self._script):
            at, session, what = self._script[self._position]
            if shown_at is not None and shown_at <= at and record is not None:
                self._show(record, shown_at, transport)
                shown_at = None
                continue
            if at >= until:
                break
            self._position += 1
            self._session = session
            if what is OPT_OUT:
                self._opted_out = True
            transport.send(self._sender, at, session, what.text)
            if self._position == len(self._script):
                if at == self._completes_at:
                    self._complete_step(at)
                elif shown_at is not None and record is not None:
                    self._show(record, shown_at, transport)
                    shown_at = None
        self.next_at = self._script[self._position][0] if self._position < len(self._script) else None

    def _sign_up(self, transport: Transport) -> None:
        person = self.person
        self.reads = True
        transport.send(self._sender, person.signup_at, 1, act("signup", "signup", {"traits": person.traits}).text)
        if self._steps:
            self._begin_step(person.signup_at)
        else:
            pages = [(person.signup_at + (2 + 20 * place) * SECOND, 1, page) for place, page in enumerate((HOME, OTHERS[0], OTHERS[1]))]
            self._script = pages + visits_after_path(person, pages[-1][0], 1)

    def _begin_step(self, since: int) -> None:
        self._step_index += 1
        self._step_began = (since, self._session)
        step = self._steps[self._step_index]
        trajectory = self._world.trajectory(self.person, step, since, self._session)
        self._script, self._position, self._completes_at = trajectory.acts, 0, trajectory.completed_at
        if since < self._world.end:
            self.episodes.append(Episode(step, since, since, None, trajectory.completed_at, None))
            self._causes.append((trajectory.cause, trajectory.cause_at))

    def _complete_step(self, done_at: int) -> None:
        """Begin the next step, or the time after activation, after a step was completed."""
        self._completes_at = None
        self.episodes[-1].completed_at = done_at
        if self._goal <= set(self._steps[: self._step_index + 1]):
            self.activated_at = done_at
            self._step_index = len(self._steps)
            self._script, self._position = visits_after_path(self.person, done_at, self._session), 0
        else:
            self._begin_step(done_at)

    # Guidance

    def _showing_time(self, record: Record | None, until: int) -> int | None:
        """Return when the app shows ``record`` in this slot, None if it does not."""
        if record is None or self._opted_out or record.decision_id in self._shown or self._position >= len(self._script):
            return None
        opens = self._script[self._position][0]
        if opens >= until or not 0 <= self._step_index < len(self._steps) or record.step_id != self._steps[self._step_index]:
            return None
        least, most = behaviour.APP_DELAY
        shown_at = min(until - 1, opens + least + int((most - least) * draws.uniform(self.person.key, draws.APP, len(self._shown))))
        return shown_at if record.shows_at(shown_at) else None

    def _show(self, record: Record, at: int, transport: Transport) -> None:
        """Show ``record`` if its step is current, and draw the response."""
        if self._opted_out or not 0 <= self._step_index < len(self._steps) or record.step_id != self._steps[self._step_index]:
            return
        person, world, effects = self.person, self._world, self._world.effects
        step, window = self._steps[self._step_index], world.product.attribution_window_ms
        rng = draws.stream(person.key, draws.RESPONSE, len(self.exposures))
        leaves, helps, harms, answers, pause, takes = (
            rng.random(),
            rng.random(),
            rng.random(),
            rng.random(),
            rng.random(),
            rng.gauss(0.0, 1.0),
        )
        completes_untreated = self._completes_at is not None and self._completes_at <= at + window
        stays = 1.0 - effects.leave_probability(at, self._seen)
        chances = {
            arm: effects.help_probability(arm, record.trigger, step, person, at, self._seen) for arm in {*world.product.arms, record.arm}
        }
        expected = {
            arm: stays * (1.0 - effects.harm_probability(arm) if completes_untreated else chances[arm]) for arm in world.product.arms
        }
        self.exposures.append(
            Exposure(record.decision_id, record.recommendation_id, record.trigger, step, person.segment, record.arm, at, expected)
        )
        self._shown.add(record.decision_id)
        self._seen.append((at, record.arm))
        transport.send(self._sender, at, self._session, report(record, _SHOWN), shown=True)
        answer = _CLICKED if answers < behaviour.CLICKED else _DISMISSED if answers < behaviour.CLICKED + behaviour.DISMISSED else None
        if answer is not None:
            transport.send(self._sender, at + int((2 + 18 * pause) * SECOND), self._session, report(record, answer))
        if leaves >= stays or (completes_untreated and harms < effects.harm_probability(record.arm)):
            del self._script[self._position :]
            self._completes_at = None
        elif helps < chances[record.arm]:
            sizes = effects.sizes
            most = min(sizes.help_most_hours * HOUR, 0.9 * window)
            self._complete_with_help(at, at + int(min(most, max(_NEAR, sizes.help_minutes * MINUTE * math.exp(sizes.help_spread * takes)))))

    def _complete_with_help(self, at: int, done_at: int) -> None:
        """Complete the step at ``done_at``, unless it is completed earlier or hardly later without help."""
        if self._completes_at is not None and self._completes_at <= done_at + _NEAR:
            return
        actions = self._world.environment[self._steps[self._step_index]].actions
        finish = actions.finishes[draws.key(self.person.key, draws.APP, at) % len(actions.finishes)]
        gap = min(4 * SECOND, (done_at - at) // (2 * (len(finish) + 2)))
        begins = done_at - (len(finish) + 1) * gap
        cut = bisect_left(self._script, begins, lo=self._position, key=_at)
        last_at, session = (self._script[cut - 1][0], self._script[cut - 1][1]) if cut > self._position else (at, self._session)
        del self._script[cut:]
        opening = [actions.page]
        if begins - last_at > 30 * MINUTE:
            session += 1
            opening = [HOME, actions.page]
        acts = [*opening, *finish][-(len(finish) + 2) :]
        self._script += [(done_at - (len(acts) - 1 - i) * gap, session, one) for i, one in enumerate(acts)]
        self._completes_at = done_at

    # Truth

    def truth(self) -> Truth:
        """Return everything about this person, with their untreated twin."""
        end = self._world.end
        for episode, (cause, cause_at) in zip(self.episodes, self._causes, strict=True):
            met = cause is not None and cause_at < min(episode.completed_at or end, end)
            episode.cause = cause if met else None
        person = self.person
        path: str | None = person.path.id if person.path else None
        traits: dict[str, Any] = person.traits
        twin = UntreatedTwin(self._untreated_activation())
        return Truth(person.user_id, False, path, traits, person.signup_at, self.activated_at, twin, self.episodes, self.exposures)

    def _untreated_activation(self) -> int | None:
        if not self._steps or (self.activated_at is not None and not self.exposures):
            return self.activated_at
        place, since, session = 0, self.person.signup_at, 1
        if not self.exposures:  # until here the twin's acts are the same
            place, (since, session) = max(0, self._step_index), self._step_began
        done = set(self._steps[:place])
        activated: int | None = None
        for episode in self._world.untreated_from(self.person, place, since, session):
            activated = episode.trajectory.completed_at
            done.add(episode.step)
        return activated if self._goal <= done else None
