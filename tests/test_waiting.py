"""No test waits without a deadline, sleeps blindly, or measures a short time by the clock.

The rule is read off the syntax tree. The second half of this file breaks it on purpose: a check that cannot fail protects nothing.
"""

from __future__ import annotations

import ast
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE, ends_within, join, never, pause, read_line, run_async, running, until, uses_at_most, wait_until

ROOT = Path(__file__).resolve().parent
#: May sleep and wait: everything else in the tests goes through it.
HELPER = "support/waiting.py"
#: Programs and servers that cannot: what is allowed there, and why.
EXCEPTIONS = {
    ("cli/people.py", "time.sleep"),  # a program that is started without our modules; its slowness is what the test needs
    ("support/model_server.py", "asyncio.run"),  # serves until it is stopped, in a daemon thread
}

CLOCKS = frozenset(f"time.{clock}" for clock in "monotonic perf_counter process_time time thread_time monotonic_ns perf_counter_ns".split())
#: Calls that block until a process or a connection is ready, unless they are given a timeout.
BLOCKING_CALLS = frozenset(
    "subprocess.run subprocess.call subprocess.check_call subprocess.check_output urllib.request.urlopen socket.create_connection"
    " concurrent.futures.wait select.select".split()
)
#: Methods that block for ever when called without arguments. Awaited ones are bounded by ``run_async``.
BLOCKING_METHODS = frozenset("wait join acquire communicate result get accept".split())
BLOCKING_READS = frozenset("read readline readlines".split())
STREAMS = frozenset({"stdout", "stderr"})


def violations(root: Path) -> list[str]:
    """Return every breach of the rule below ``root`` as ``path:line: what is wrong``."""
    found: list[str] = []
    for path in sorted(root.rglob("*.py")):
        where = path.relative_to(root).as_posix()
        if where != HELPER:
            breaches = sorted(set(_breaches(list(ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))))))
            found += [f"{where}:{line}: {text}" for line, text in breaches if (where, re.split("[: ]", text)[0]) not in EXCEPTIONS]
    return found


def _breaches(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    bound = _imports(nodes)
    awaited = {node.value for node in nodes if isinstance(node, ast.Await)}
    over = _known_to_be_over(nodes)
    for node in nodes:
        if isinstance(node, ast.While) and not _moves_itself(node):
            yield node.lineno, "a loop that something else must end: use wait_until or until"
        elif isinstance(node, ast.With):
            if "subprocess.Popen" in {
                _name(item.context_expr.func, bound) for item in node.items if isinstance(item.context_expr, ast.Call)
            }:
                yield node.lineno, "leaving `with Popen` waits without a deadline: use running"
        elif isinstance(node, ast.Assert):
            if {_name(each.func, bound) for each in ast.walk(node) if isinstance(each, ast.Call)} & CLOCKS:
                yield node.lineno, "an assertion about the clock: use ends_within or uses_at_most, or assert what made it quick"
        elif isinstance(node, ast.Call):
            yield from _call_breaches(node, _name(node.func, bound), awaited=node in awaited, over=over)


def _call_breaches(call: ast.Call, name: str, *, awaited: bool, over: set[str]) -> Iterator[tuple[int, str]]:
    keywords = {each.arg for each in call.keywords}
    if name == "time.sleep" or (name == "asyncio.sleep" and not _is_zero(call)):
        yield call.lineno, f"{name}: wait for a condition with wait_until or until; pause and let_pass take a reason"
    elif name == "asyncio.run":
        yield call.lineno, "asyncio.run has no deadline: use run_async"
    elif name in BLOCKING_CALLS and "timeout" not in keywords:
        yield call.lineno, f"{name} without a timeout"
    elif name == "threading.Thread" and "daemon" not in keywords:
        yield call.lineno, "a thread that is no daemon keeps the process alive after a failure"
    elif name == "concurrent.futures.ThreadPoolExecutor":
        yield call.lineno, "an executor waits for its threads without a deadline: use a thread and join"
    elif isinstance(call.func, ast.Attribute) and not awaited:
        method, owner = call.func.attr, call.func.value
        if method in BLOCKING_METHODS and not call.args and "timeout" not in keywords and ast.unparse(owner) not in over:
            yield call.lineno, f".{method}() without a timeout"
        elif method in BLOCKING_READS and isinstance(owner, ast.Attribute) and owner.attr in STREAMS:
            yield call.lineno, f".{owner.attr}.{method}() has no deadline: use read_line or read_to_end"


def _imports(nodes: list[ast.AST]) -> dict[str, str]:
    """Local name -> full name of everything imported."""
    bound: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                bound[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            bound |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return bound


def _name(node: ast.expr, bound: dict[str, str]) -> str:
    """The full name of an imported thing: after ``from time import sleep``, ``sleep`` is ``time.sleep``. Empty for others."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([bound[node.id], *reversed(parts)]) if isinstance(node, ast.Name) and node.id in bound else ""


def _moves_itself(loop: ast.While) -> bool:
    """Whether the loop changes what it tests: it binds a name of its condition, in the condition or in its body."""
    asked = {each.id for each in ast.walk(loop.test) if isinstance(each, ast.Name)}
    names = [each for node in [loop.test, *loop.body] for each in ast.walk(node) if isinstance(each, ast.Name)]
    return bool(asked & {each.id for each in names if isinstance(each.ctx, ast.Store)})


def _known_to_be_over(nodes: list[ast.AST]) -> set[str]:
    """What is checked with ``.done()`` somewhere in the module: the result of a future that is done does not block."""
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    return {ast.unparse(each.value) for each in calls if isinstance(each, ast.Attribute) and each.attr == "done"}


def _is_zero(call: ast.Call) -> bool:
    return len(call.args) == 1 and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0


# ----------------------------------------------------------------------------------------------------------------- the real tests


def test_no_test_waits_without_a_deadline() -> None:
    assert violations(ROOT) == []


# ------------------------------------------------------------------------------------------ the same check on broken examples


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(1)",
        "from time import sleep as nap\nnap(0.1)",
        "import asyncio\nasync def f():\n    await asyncio.sleep(0.1)",
        "import asyncio\nasyncio.run(f())",
        "while not made.ended:\n    pass",
        "while True:\n    if queue:\n        break",
        "while len(found) < count:\n    found.extend(part.next_batch())",
        "event.wait()",
        "thread.join()",
        "future.result()",
        "lock.acquire()",
        "queue.get()",
        "process.wait()",
        "said, complained = process.communicate()",
        "process.stdout.readline()",
        "process.stderr.read()",
        "import subprocess\nsubprocess.run(['true'], check=True)",
        "from subprocess import check_output\ncheck_output(['true'])",
        "import subprocess\nwith subprocess.Popen(['true']) as process:\n    pass",
        "from urllib.request import urlopen\nurlopen(url)",
        "import socket\nsocket.create_connection(address)",
        "import threading\nthreading.Thread(target=f).start()",
        "from threading import Thread\nThread(target=f).start()",
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(1) as pool:\n    pass",
        "import time\nbegan = time.monotonic()\nassert time.monotonic() - began < 1",
        "from time import perf_counter\nassert perf_counter() < deadline",
    ],
)
def test_a_wait_without_a_deadline_is_found(tmp_path: Path, source: str) -> None:
    (tmp_path / "test_it.py").write_text(source, encoding="utf-8")
    (breach,) = violations(tmp_path)
    assert breach.startswith("test_it.py:")


@pytest.mark.parametrize(
    "source",
    [
        "from tests.support.waiting import wait_until\nwait_until(lambda: made.ended, 'the end')",
        "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    await event.wait()\n    await asyncio.wait(tasks)",
        "while at is not None:\n    at = following(at)",
        "while (due := wheel.next_due(0)) is not None:\n    wheel.pop(due)",
        "event.wait(5)\nthread.join(timeout=5)\nfuture.result(5)\nprocess.communicate(line, timeout=5)",
        "assert task.done()\nassert task.result() == 1",
        "', '.join(names)\nfound.get('key')\nlife.wait(HOUR)",
        "import subprocess\nsubprocess.run(['true'], check=True, timeout=60)",
        "import threading\nthreading.Thread(target=f, daemon=True).start()",
        "import time\nnow = time.time()",
    ],
)
def test_what_ends_by_itself_passes(tmp_path: Path, source: str) -> None:
    (tmp_path / "test_it.py").write_text(source, encoding="utf-8")
    assert violations(tmp_path) == []


# ------------------------------------------------------------------------------------------------------- the helper itself


def test_waiting_returns_what_came_true_and_says_what_did_not() -> None:
    found: list[int] = []

    def grow() -> list[int]:
        found.append(1)
        return found if len(found) == 3 else []

    assert wait_until(grow, "three", every=0) == [1, 1, 1]


def test_an_expensive_question_is_asked_seldom() -> None:
    """Else it takes the processor from what it waits for."""
    asked: list[int] = []

    def never_true() -> bool:
        asked.append(1)
        pause(0.05, "what a look at a server may take")
        return False

    with pytest.raises(AssertionError, match="waited"):
        wait_until(never_true, "nothing", within=0.6)
    assert len(asked) <= 6  # after pauses of 5 ms it would be eleven
    with pytest.raises(AssertionError, match=r"waited 0 s for the end; last seen: \[\]"):
        wait_until(list, "the end", within=0)


def test_waiting_for_a_process_that_has_ended_says_what_it_wrote() -> None:
    command = [sys.executable, "-c", "print('no such file'); raise SystemExit(3)"]
    ended = pytest.raises(AssertionError, match=r"ended with 3 before the address; .*no such file")
    with running(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as process, ended:
        wait_until(lambda: "", "the address", process=process)


def test_waiting_on_a_loop_is_the_same_and_takes_what_must_be_awaited() -> None:
    async def yes() -> int:
        return 7

    assert run_async(until(yes, "seven")) == 7
    with pytest.raises(AssertionError, match=r"waited 0 s for the end; last seen: 0"):
        run_async(until(lambda: 0, "the end", within=0))


def test_what_never_ends_on_a_loop_is_ended() -> None:
    with pytest.raises(AssertionError, match="did not end within"):
        run_async(never(), within=0.01)


def test_a_timeout_inside_is_not_mistaken_for_the_deadline() -> None:
    async def late() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        run_async(late())


def test_a_process_is_gone_after_its_block_whatever_it_does() -> None:
    command = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    with running(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as process:
        assert read_line(process.stdout, "its word") == "up\n"
        with pytest.raises(AssertionError, match="for another line"):
            read_line(process.stdout, "another line", within=0.05)
    assert process.returncode == -signal.SIGKILL


def test_a_thread_that_does_not_end_is_named() -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait, args=(PATIENCE,), daemon=True)
    thread.start()
    with pytest.raises(AssertionError, match="for the writer"):
        join(thread, "the writer", within=0.01)
    release.set()
    join(thread, "the writer")


def test_bounds_on_time_can_fail_and_none_is_too_short_for_a_loaded_machine() -> None:
    with pytest.raises(AssertionError, match="a loaded machine"), ends_within(1, "it"):
        pass
    with pytest.raises(AssertionError, match=r"it took .* s of CPU time"), uses_at_most(0.01, "it"):
        sum(number * number for number in range(2_000_000))


def test_every_test_has_a_limit_and_those_that_wait_are_marked_for_repeats(request: pytest.FixtureRequest) -> None:
    assert request.config.pluginmanager.hasplugin("timeout")
    assert float(request.config.getini("timeout")) > 0
    assert request.node.get_closest_marker("timing") is not None
