"""Profiles of hypothesis, limits of slow tests, the mark of tests that depend on timing, and which tests share a worker.

Hypothesis: ``fast`` on every run, ``short`` in CI, ``thorough`` with ``HYPOTHESIS_PROFILE=thorough``, for a change to the fold or a night.
"""

from __future__ import annotations

import functools
import gc
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Generator, Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from flows.version import engine_is_compiled

# No deadline: the machines that run this are shared, and a slow example is no fault. No database: a red example belongs into a test.
settings.register_profile("fast", max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("short", parent=settings.get_profile("fast"), max_examples=10)
settings.register_profile("thorough", parent=settings.get_profile("fast"), max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

# A shell ignores SIGINT for what it starts in the background, and children inherit that: commands under test could not be interrupted.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SLOW_SECONDS = 1_800.0
#: A test module that uses one of these modules has threads, processes or deadlines.
TIMED = frozenset(
    "asyncio threading subprocess signal multiprocessing clickhouse_http command conftest fake_gateway gateway job_driver job_runs"
    " kafka_feed model_server program s3 tansu valkey waiting".split()
)


@functools.cache
def is_timed(module: ModuleType) -> bool:
    """Whether a test module uses threads, processes or deadlines: read off what it imports."""
    names = [each.__name__ if isinstance(each, ModuleType) else getattr(each, "__module__", None) for each in vars(module).values()]
    return any(isinstance(name, str) and name.rpartition(".")[2] in TIMED for name in names)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Keep groups of tests together. The marks of pytest-xdist 3.8 for this have no effect with pytest 9.2, and say so nowhere."""
    from tests.support.process_groups import GroupScheduling

    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test its marks."""
    compiled = engine_is_compiled()
    for item in items:
        if compiled and item.get_closest_marker("interpreted") is not None:
            item.add_marker(pytest.mark.skip(reason="patches or traces what is compiled here"))
        if isinstance(item, pytest.Function) and is_timed(item.module):
            item.add_marker(pytest.mark.timing)
        if item.get_closest_marker("slow") is not None:
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))


def pytest_collection_finish() -> None:
    """Leave what collecting made out of later collections of garbage: after each of 150 modules one would look at it for 0.24 s."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _nothing_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the module that forgot to close something: warnings are errors, and the collector would raise this one in any later test."""
    yield
    if is_timed(request.module):
        gc.collect()


@pytest.fixture(autouse=True)
def _logging_stays() -> Iterator[None]:
    """Restore where log lines go: a command that runs in this process sends them to a stream that the test closes."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the stacks of all threads to the report of a test that was over its limit: what pytest-timeout prints, workers swallow."""
    report = yield
    if call.excinfo is not None and str(call.excinfo.value).startswith("Timeout"):
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        stacks = [f"{names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}" for ident, frame in sys._current_frames().items()]
        report.sections.append(("Stacks of all threads", "\n".join(stacks)))
    return report


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a gzipped value alike in every process: its header holds the second in which the process collected it."""
    return "gzip" if isinstance(val, bytes) and val.startswith(b"\x1f\x8b") else None
