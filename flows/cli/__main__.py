"""``python -m flows.cli`` is ``onramp``."""

from flows.cli import main

main()
