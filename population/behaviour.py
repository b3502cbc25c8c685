"""The parameters of people's behaviour without guidance, each with its reason.

None is taken from a catalog's thresholds or from the engine: the same number in behaviour and detector would make a measured
precision true by construction. The effects of guidance are in ``effects.json``. Shares are probabilities, durations milliseconds;
a ``*_SPREAD`` is the sigma of a log-normal whose median is the constant beside it.
"""

from __future__ import annotations

from typing import Final

from population.clock import HOUR, MINUTE, SECOND

# Traits of people (beta distributions).
SKILL: Final = (2.6, 2.0)
"""Most people choose products that they can roughly use."""
MOTIVATION: Final = (2.4, 2.0)
"""Widely spread: many sign-ups are only curious."""
FRICTION_SPREAD: Final = 0.25
"""Friction of a step, the same for all people, median 1: a bad form is bad for all."""
OWN_FRICTION_SPREAD: Final = 0.2
"""Additional friction of one person at a step."""
PATHLESS: Final = 0.04
"""Share of people whose traits match no path, if no path matches all people."""
OPTS_OUT: Final = 0.01
"""Share of people who switch guidance off at their second visit."""
TRAIT_MISSING: Final = 0.06
"""Probability that a trait which no path needs is missing: optional fields stay empty."""

# Times of visits.
SIGN_UP_PERIOD: Final = 0.6
"""Part of the period in which people sign up, so that most of them can be observed until they finish."""
WEEKEND: Final = 0.4
"""Activity on Saturday and Sunday against a working day."""
HOURLY: Final = (
    *(0.05, 0.03, 0.02, 0.02, 0.03, 0.06, 0.15, 0.4, 0.75, 1.0, 1.0, 0.95),
    *(0.7, 0.85, 1.0, 0.95, 0.9, 0.75, 0.55, 0.5, 0.5, 0.45, 0.3, 0.12),
)
"""Activity by local hour: two peaks during work, a lower one in the evening, almost none at night."""
SESSION: Final = 31 * MINUTE
SESSION_SPREAD: Final = 0.6
"""Length of a visit in which the person is not interrupted and does not complete the step."""
CALLED_AWAY: Final = 0.16
"""Probability at the beginning of a step to postpone it to a later visit, for reasons outside the app."""

# Work.
WORK_SHARE: Final = 0.4
WORK_LEAST: Final = 60 * SECOND
WORK_MOST: Final = 15 * MINUTE
WORK_SPREAD: Final = 0.5
"""Hands-on time: a share of the typical duration (which includes waiting), within bounds, times friction and pace."""
BETWEEN_ACTS: Final = 42 * SECOND
BETWEEN_ACTS_SPREAD: Final = 0.5
"""Time between two reported acts while working."""
PARETO_SHAPE: Final = 1.5
"""Shape of heavy-tailed dwell times: the mean is finite, the variance is not."""
HARMLESS_ERROR: Final = 0.1
AND_ANOTHER: Final = 0.3
"""Probability per visit of an error that does not stop the person, and of one more after each."""
FAST_CLICKS: Final = 0.06
"""Probability per visit of quick clicks without trouble: a double click, paging, incrementing."""
COPIES_ACROSS: Final = 0.03
"""Probability per visit of alternating between two pages on purpose, such as to copy a key."""
LOOKS_BACK: Final = 0.1
"""Probability per act of viewing another page."""

# Trouble.
TROUBLE: Final = 0.2
"""Probability of trouble at a step, for friction 1 and average skill."""
CAUSES: Final = (("errors", 0.36), ("rage_clicks", 0.2), ("looping", 0.22), ("slow_step", 0.22))
"""Causes of trouble and their shares; errors are the most common, as in support tickets."""
OVERCOME: Final = (0.12, 0.4)
"""Probability of solving the trouble after each attempt: a base, and the addition for full skill."""
WALKS_OFF: Final = 0.6
"""Otherwise: probability of leaving with the trouble unsolved instead of trying again at once."""
SOLVED_OUTSIDE: Final = 0.3
"""Probability that the trouble is gone at the next visit: a colleague helped, the server works again."""
SLOW: Final = 26 * MINUTE
SLOW_SPREAD: Final = 0.5
SLOW_GAP: Final = 4 * MINUTE
"""Slow while active: length of an attempt, and the time between its acts."""

# Losing interest, leaving and coming back.
LOSES_INTEREST: Final = 0.14
"""Probability at the beginning of a step, times twice the lack of motivation. The person views other pages and leaves."""
RETURN_CALM: Final = 0.96
RETURN_TROUBLED: Final = 0.6
RETURN_BORED: Final = 0.45
"""Probability of another visit, by exit state, for average motivation."""
RETURN_BY_MOTIVATION: Final = 1.6
"""Slope of the logit of a return in motivation, centred at 0.5."""
PAUSE_CALM: Final = 9 * HOUR
PAUSE_CALM_SPREAD: Final = 0.85
PAUSE_TROUBLED: Final = 26 * HOUR
PAUSE_BORED: Final = 36 * HOUR
PAUSE_SPREAD: Final = 0.8
"""Time until that visit, before daily activity is applied."""
ONLY_LOOKS: Final = 0.12
ONLY_LOOKS_AGAIN: Final = 0.8
"""Probability that a returning person views pages but does not continue the step, after leaving calmly, and after leaving troubled or
bored: a mail or a colleague brings them back to the app, not to the work.
"""
STROLL: Final = (2, 7)
STROLL_DWELL: Final = 45 * SECOND
STROLL_SPREAD: Final = 0.8
"""Number of pages that a bored person views before leaving, and the time on each."""
VISITS_MOST: Final = 25
"""A person who has not completed a step after this many visits never does."""

# After activation, or without a path.
STAYS: Final = 0.65
"""Probability of one more visit."""
BROWSES: Final = (1, 4)
"""Minimum and maximum number of pages in such a visit."""

# The app and the guidance it shows.
APP_DELAY: Final = (400, 3_000)
"""Milliseconds from the first act of a slot until the app shows the record."""
CLICKED: Final = 0.24
DISMISSED: Final = 0.2
"""Probabilities of clicking and dismissing a showing; the rest ignore it."""

# The separate population from which the horizons are measured.
HORIZON_PEOPLE: Final = 2_200
FEW: Final = 40
"""Number of completions at which a step's own quantile and the pooled one have equal weight."""
