"""How the people behave when nobody guides them, in numbers: every choice stands here once, with its reason.

None is taken from a catalog's thresholds or from the engine: the same number in behaviour and detector would make a measured
precision true by construction. What guidance does is elsewhere (``effects.json``). Shares are probabilities, durations milliseconds;
a ``*_SPREAD`` is the sigma of a log-normal whose median is the constant beside it.
"""

from __future__ import annotations

from typing import Final

from population.clock import HOUR, MINUTE, SECOND

# Who they are (beta distributions).
SKILL: Final = (2.6, 2.0)
"""People choose products that they roughly know how to use."""
MOTIVATION: Final = (2.4, 2.0)
"""A wide middle: a good part of sign-ups are only curious."""
FRICTION_SPREAD: Final = 0.25
"""Of a step, the same for everybody, median 1: a bad form is bad for all."""
OWN_FRICTION_SPREAD: Final = 0.2
"""Of a person at a step."""
PATHLESS: Final = 0.04
"""Share of people with traits that lead nowhere, if there is no path for everybody."""
OPTS_OUT: Final = 0.01
"""Share of people who switch guidance off at their second visit."""
TRAIT_MISSING: Final = 0.06
"""Of each trait that no path asks for: optional fields stay empty."""

# When they come.
SIGN_UP_PERIOD: Final = 0.6
"""Part of the period in which people sign up, so that most can be followed to an end."""
WEEKEND: Final = 0.4
"""Activity on Saturday and Sunday against a working day."""
HOURLY: Final = (
    *(0.05, 0.03, 0.02, 0.02, 0.03, 0.06, 0.15, 0.4, 0.75, 1.0, 1.0, 0.95),
    *(0.7, 0.85, 1.0, 0.95, 0.9, 0.75, 0.55, 0.5, 0.5, 0.45, 0.3, 0.12),
)
"""Activity by local hour: two humps at work, a lower one in the evening, nearly nobody at night."""
SESSION: Final = 31 * MINUTE
SESSION_SPREAD: Final = 0.6
"""How long a person stays who is not called away and does not get through."""
CALLED_AWAY: Final = 0.16
"""Chance at the beginning of a step to put it off to a later visit, for reasons outside the app."""

# Work.
WORK_SHARE: Final = 0.4
WORK_LEAST: Final = 60 * SECOND
WORK_MOST: Final = 15 * MINUTE
WORK_SPREAD: Final = 0.5
"""Hands-on time: a part of the typical duration, which counts waiting too, within bounds, times friction and pace."""
BETWEEN_ACTS: Final = 42 * SECOND
BETWEEN_ACTS_SPREAD: Final = 0.5
"""Between two reported acts while working."""
PARETO_SHAPE: Final = 1.5
"""Of dwell times where they are heavy-tailed: the mean is still finite, the variance is not."""
HARMLESS_ERROR: Final = 0.1
AND_ANOTHER: Final = 0.3
"""Chance per visit of an error that stops nobody, and of one more after each."""
FAST_CLICKS: Final = 0.06
"""Chance per visit of quick clicks by somebody who is fine: a double click, paging, counting up."""
COPIES_ACROSS: Final = 0.03
"""Chance per visit to go to and fro between two pages to some purpose, like copying a key."""
LOOKS_BACK: Final = 0.1
"""Chance per act to glance at another page."""

# Trouble.
TROUBLE: Final = 0.2
"""Chance to meet it at a step, for friction 1 and middling skill."""
CAUSES: Final = (("errors", 0.36), ("rage_clicks", 0.2), ("looping", 0.22), ("slow_step", 0.22))
"""Of trouble; errors lead, as in support tickets."""
OVERCOME: Final = (0.12, 0.4)
"""Chance to get past the trouble after each bout: a base, and what full skill adds."""
WALKS_OFF: Final = 0.6
"""Otherwise: leave with it unsolved rather than try once more at once."""
SOLVED_OUTSIDE: Final = 0.3
"""Chance that it is gone at the next visit: a colleague helped, the server is up again."""
SLOW: Final = 26 * MINUTE
SLOW_SPREAD: Final = 0.5
SLOW_GAP: Final = 4 * MINUTE
"""Slow while active: how long a bout takes, and between the acts that show it."""

# Losing interest, leaving and coming back.
LOSES_INTEREST: Final = 0.14
"""Chance at the beginning of a step, times twice the lack of motivation: it is not what they wanted. They look around, and go."""
RETURN_CALM: Final = 0.96
RETURN_TROUBLED: Final = 0.6
RETURN_BORED: Final = 0.45
"""Chance of another visit, by how they left, for middling motivation."""
RETURN_BY_MOTIVATION: Final = 1.6
"""What full motivation adds to the logit of a return, and none takes away, halved."""
PAUSE_CALM: Final = 9 * HOUR
PAUSE_CALM_SPREAD: Final = 0.85
PAUSE_TROUBLED: Final = 26 * HOUR
PAUSE_BORED: Final = 36 * HOUR
PAUSE_SPREAD: Final = 0.8
"""Until then, before the rhythm is applied."""
ONLY_LOOKS: Final = 0.12
ONLY_LOOKS_AGAIN: Final = 0.8
"""Chance that somebody who returns only looks in and does not go on with the step: of those who left calmly, and of those who left
in trouble or bored. A mail or a colleague brings them to the door, not to the work.
"""
STROLL: Final = (2, 7)
STROLL_DWELL: Final = 45 * SECOND
STROLL_SPREAD: Final = 0.8
"""How many pages the bored look at before they go, and how long at each."""
VISITS_MOST: Final = 25
"""Whoever has not got through a step after this many visits never will."""

# After activation, or without a path.
STAYS: Final = 0.65
"""Chance of yet another visit."""
BROWSES: Final = (1, 4)
"""Pages of such a visit, least and most."""

# The app and the guidance it shows.
APP_DELAY: Final = (400, 3_000)
"""Milliseconds from the first act of a slot until the app shows what it has read."""
CLICKED: Final = 0.24
DISMISSED: Final = 0.2
"""What people do with what is shown; the rest ignore it."""

# Separate population for the horizons.
HORIZON_PEOPLE: Final = 2_200
FEW: Final = 40
"""A step's own quantile counts as much as the pooled one when it has this many completions."""
