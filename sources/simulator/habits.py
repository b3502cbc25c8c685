"""How the simulated people behave, in numbers: every choice stands here once, with the reason for it.

None of these is taken from a catalog's trigger thresholds, and none may be: the same number in the behaviour and in the detector
would make any measured precision true by construction. Shares are probabilities, durations milliseconds. A ``*_SPREAD`` is the
sigma of a log-normal whose median is the constant beside it: waiting and working times of people have long right tails.
"""

from __future__ import annotations

from typing import Final

from state.duration import HOUR, MINUTE, SECOND

# Who they are. Beta distributions: bounded, most people in the middle, a few at both ends.
SKILL: Final = (2.6, 2.0)
"""Somewhat above the middle: people choose products that they roughly know how to use."""
MOTIVATION: Final = (2.0, 2.2)
"""A wide middle: a good part of sign-ups are only curious."""
FRICTION_SPREAD: Final = 0.4
"""Of a step, the same for everyone, median 1: the worst of a dozen steps is then about four times as bad as the best."""
OWN_FRICTION_SPREAD: Final = 0.25
"""Of a person at a step: less than the step's own, for a bad form is bad for everybody."""
PATHLESS: Final = 0.12
"""Share of people whose traits are made for no particular path: real sign-up forms are full of "other"."""
TRAIT_MISSING: Final = 0.06
"""Of each trait that no path asks for: optional fields stay empty."""
DISORDERLY: Final = 0.15
"""Share of people who do not mind the order of steps; most follow the product's."""
JUMPS_AHEAD: Final = 0.3
"""How often a disorderly person takes the next step but one."""

# When they come.
SIGN_UP_PERIOD: Final = 0.6
"""Part of the period in which people sign up, so that most of them can be followed to an end."""
WEEKEND: Final = 0.35
"""Activity on Saturday and Sunday against a working day: a product for work."""
HOURLY: Final = (
    *(0.04, 0.02, 0.02, 0.02, 0.03, 0.06, 0.15, 0.4, 0.75, 1.0, 1.0, 0.95),
    *(0.7, 0.85, 1.0, 0.95, 0.9, 0.75, 0.5, 0.45, 0.5, 0.45, 0.3, 0.12),
)
"""Activity by local hour: two humps at work, a low one in the evening, nearly nobody at night."""
SESSION: Final = 11 * MINUTE
SESSION_SPREAD: Final = 0.7
"""Onboarding visits are short; one in six lasts over 20 minutes."""
PAUSE: Final = 9 * HOUR
PAUSE_SPREAD: Final = 1.0
"""Between sessions before the rhythm is applied: the same day or the next; nights and week-ends stretch it past a day for some
people who are perfectly well."""
EARLY_END: Final = 0.16
"""Chance at each step begun to be called away, times the lack of motivation."""

# What they do in a session.
WORK_SHARE: Final = 0.4
WORK_LEAST: Final = 40 * SECOND
WORK_MOST: Final = 12 * MINUTE
WORK_SPREAD: Final = 0.5
"""Hands-on time for a step: a part of the typical duration that the catalog claims (which counts waiting too), within these
bounds, times friction: the claim is right about the order of magnitude and wrong in detail."""
BETWEEN_ACTS: Final = 100 * SECOND
BETWEEN_ACTS_SPREAD: Final = 0.6
"""Between two visible acts while working: about what product analytics logs of a form-filling person."""
BROWSES: Final = (1, 5)
"""Pages looked at without purpose, least and most."""
HARMLESS_ERROR: Final = 0.06
AND_ANOTHER: Final = 0.3
"""Chance per step of an error that does not stop anybody, like a mistyped field, and of one more after each."""
DOUBLE_CLICK: Final = 0.07
TRIPLE_CLICK: Final = 0.25
"""Chance of a double click per step by people who are fine, and of a third click in it: habit from the desktop."""
PAGES_THROUGH: Final = 0.015
PAGING: Final = (3, 7)
PAGING_GAP: Final = (250, 1_200)
"""Chance per step to click quickly on a control that works: paging, counting up. How often, and milliseconds between."""
COPIES_ACROSS: Final = 0.02
COPYING: Final = (2, 5)
COPYING_DWELL: Final = 25 * SECOND
COPYING_DWELL_SPREAD: Final = 0.6
"""Chance per step to go back and forth between two pages to some purpose, like copying a key; how often, and how long on each. These
three make counting errors, clicks or visits an unsafe sign, as it is in life."""
LOOKS_BACK: Final = 0.12
"""Chance per act to glance at another page and come back, without being lost."""
OPTS_OUT: Final = 0.012
"""Share of people who switch guidance off, some session after the first."""

# What goes wrong.
TROUBLE: Final = 0.075
"""Chance to get stuck when beginning a step, for friction 1 and middling skill."""
CAUSES: Final = {"stuck:errors": 0.35, "stuck:rage_clicks": 0.2, "stuck:looping": 0.22, "stuck:slow_step": 0.23}
"""Of trouble in a session. Errors lead, as in support tickets."""
OVERCOME: Final = (0.3, 0.5)
"""Chance to get past the trouble after each bout: a base, and what full skill adds."""
WALKS_OFF: Final = 0.55
"""Otherwise: leave with it unsolved (and meet it again at the next visit) rather than try once more at once."""
ERRORS: Final = (2, 7)
ERROR_GAP: Final = 35 * SECOND
ERROR_GAP_SPREAD: Final = 0.8
"""Errors in a bout, and between them: people read the message, change something, send again."""
CLICKS: Final = (3, 9)
CLICK_GAP: Final = (150, 1_100)
"""Frustrated clicks in a bout and milliseconds between them: a hand is no faster, an angry one hardly slower."""
ROUNDS: Final = (3, 8)
ROUND_PAGES: Final = (2, 3)
ROUND_DWELL: Final = 38 * SECOND
ROUND_DWELL_SPREAD: Final = 0.7
"""Going in circles: how often round, over how many pages, how long on each."""
SLOW: Final = 38 * MINUTE
SLOW_SPREAD: Final = 0.6
SLOW_GAP: Final = 4 * MINUTE
"""Slow while active: time spent in a bout, and between the acts that show it."""
DRIFT: Final = 0.17
DRIFT_IN_TROUBLE: Final = 0.3
"""Chance at the end of a session to begin to drift away, times the lack of motivation; more after unsolved trouble."""
FOR_GOOD: Final = 0.65
"""Of those who drift away: they never return. The others do after a while:"""
DRIFT_TIME: Final = 60 * HOUR
DRIFT_SPREAD: Final = 0.8
"""Some within a day, some after weeks."""

# After activation nobody is stuck: they come and go.
STAYS: Final = 0.6
"""Chance of yet another session for those who have arrived (or who are on no path): a mean of one and a half."""

# Guidance. Open loop: these are fixed chances, whatever the guidance was.
SHOWN: Final = 0.55
"""Share of sessions in which the app reports that it showed a recommendation; also of steps completed on the way, times the next."""
SHOWN_ON_THE_WAY: Final = 0.3
CLICKED: Final = 0.24
DISMISSED: Final = 0.22
CLOSED: Final = 0.05
"""What follows a showing: a click, a dismissal, or closing the tooltip. The rest ignore it."""

# Transport, unless switched off.
DUPLICATED: Final = 0.01
"""Same event id again: a client that retries after a timeout."""
SHUFFLED: Final = 0.02
SHUFFLED_BY: Final = (2 * SECOND, 5 * MINUTE)
"""Arrives after events that happened later: parallel requests, a phone in a tunnel."""
DELAYED: Final = 0.002
DELAYED_BY: Final = (1 * HOUR, 10 * HOUR)
"""A laptop closed with a full buffer and opened again later."""
