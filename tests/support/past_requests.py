"""Prints, as JSON, the cache key of the wording request that ``onramp llm try`` rebuilds for each user named on standard input.

A program of its own, because embedded ClickHouse opens one data directory a process: ``python past_requests.py DATA_DIR CATALOG``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cli.support.past_request import NoWordingRequestError, find_request
from cli.support.stores import open_facts
from flows.catalogs import load_catalog
from flows.settings import load_settings
from state.catalog.plan import Plan
from state.decision.wording_request import cache_key


def main() -> None:
    """Rebuild the requests and print ``{user: [decision, cache key]}``, without those that ask no model."""
    settings = load_settings(data_dir=Path(sys.argv[1]), catalog=sys.argv[2])
    plan = Plan(load_catalog(settings.catalog), wording=True)
    found: dict[str, tuple[str, str]] = {}
    with open_facts(settings) as facts:
        for user in json.load(sys.stdin):
            try:
                request = find_request(facts, plan, "default", user)
            except NoWordingRequestError:
                continue
            found[user] = request.record.decision_id, cache_key(request)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
