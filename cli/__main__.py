"""``python -m cli`` is ``onramp``."""

from cli import main

main()
