"""The options ``--users``, ``--days`` and ``--seed`` of ``onramp demo``, and their defaults."""

from __future__ import annotations

from typing import Annotated, Final

import typer

USERS: Final = 2_000
DAYS: Final = 14
USERS_LOCAL: Final = 60
DAYS_LOCAL: Final = 4
"""With the local model simulated time waits for each answer, and a CPU takes seconds for one."""


UsersOption = Annotated[
    int | None,
    typer.Option(
        "--users",
        min=1,
        max=1_000_000,
        help=f"Number of users to simulate. [default: {USERS}; with --llm local {USERS_LOCAL}]",
        show_default=False,
    ),
]
DaysOption = Annotated[
    int | None,
    typer.Option(
        "--days",
        min=1,
        max=365,
        help=f"Number of days to simulate; 10 or more to compare activation. [default: {DAYS}; with --llm local {DAYS_LOCAL}]",
        show_default=False,
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", help="The same seed gives the same users.")]
