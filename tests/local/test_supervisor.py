"""The supervisor: real processes that end, hang, or cannot run."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local import supervisor as module
from local.supervisor import Part, PartFailedError, Supervisor
from tests.support.waiting import PATIENCE

SLEEPS = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('up', flush=True); time.sleep(600)"


class Scene:
    """Parts in a directory, and what the user was told. ``after`` runs a step each time its condition holds; then all is stopped."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.told: list[str] = []
        self.ready = 0
        self.steps: list[tuple[Callable[[], bool], Callable[[], None]]] = []

    def part(self, name: str, code: str, healthy: Callable[[], bool] | None = None) -> Part:
        """A process that runs ``code``; healthy as soon as it has said something."""
        log = self.directory / f"{name}.log"
        return Part(
            name=name,
            command=(sys.executable, "-c", f"import os; open({str(self.directory / name)!r}, 'a').write(f'{{os.getpid()}}\\n')\n{code}"),
            log=log,
            environment=dict(os.environ),
            healthy=healthy or (lambda: log.exists() and log.stat().st_size > 0),
            stop_seconds=10.0,
        )

    def pids(self, name: str) -> list[int]:
        file = self.directory / name
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def run(self, *parts: Part) -> None:
        ends_at = time.monotonic() + PATIENCE

        def stop() -> bool:
            if time.monotonic() > ends_at:
                raise AssertionError(f"waited {PATIENCE:g} s for the next of {len(self.steps)} steps; told: {self.told}")
            if self.steps and self.steps[0][0]():
                self.steps.pop(0)[1]()
            return not self.steps

        def ready() -> None:
            self.ready += 1

        Supervisor(parts, self.told.append).run(stop, on_ready=ready)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists() if sys.platform == "linux" else True


def test_the_second_begins_when_the_first_is_healthy_and_all_are_stopped_in_order(scene: Scene) -> None:
    order: list[bool] = []
    first, second = scene.part("first", SLEEPS), scene.part("second", SLEEPS)
    scene.steps = [(lambda: scene.ready == 1, lambda: order.append(True))]
    scene.run(first, second)
    assert (order, scene.told) == ([True], [])
    assert all(is_gone(pid) for name in ("first", "second") for pid in scene.pids(name))


def test_a_process_that_was_killed_is_started_again_and_the_user_is_told(scene: Scene) -> None:
    scene.steps = [
        (lambda: scene.ready == 1, lambda: os.kill(scene.pids("part")[0], signal.SIGKILL)),
        (lambda: len(scene.pids("part")) == 2, lambda: None),
    ]
    scene.run(scene.part("part", SLEEPS))
    assert scene.told == ["part was ended by signal 9; it starts again in 0.5 seconds.", "part runs again."]
    assert scene.ready == 1


def test_a_process_that_stops_answering_is_stopped_and_started_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SICK_SECONDS", 0.5)
    sick: list[bool] = []
    part = scene.part("part", SLEEPS, healthy=lambda: bool(scene.pids("part")) and not (sick and len(scene.pids("part")) == 1))
    scene.steps = [(lambda: scene.ready == 1, lambda: sick.append(True)), (lambda: len(scene.pids("part")) == 2, lambda: None)]
    scene.run(part)
    assert scene.told[0] == "part has not answered for 0.5 seconds; it is stopped and started again."


def test_wrong_usage_ends_everything_at_once_with_its_last_line(scene: Scene) -> None:
    scene.steps = [(lambda: False, lambda: None)]
    with pytest.raises(
        PartFailedError, match=r"^bad ended with exit code 2 and cannot run: the setting X is missing \(log: .*bad\.log\)\.$"
    ):
        scene.run(scene.part("good", SLEEPS), scene.part("bad", "import sys; print('onramp: the setting X is missing.'); sys.exit(2)"))
    assert all(is_gone(pid) for pid in scene.pids("good"))


def test_a_process_that_ends_again_and_again_ends_everything(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_WAIT", 0.01)
    scene.steps = [(lambda: False, lambda: None)]
    with pytest.raises(PartFailedError, match="bad ended with exit code 1 and cannot run: no disk"):
        scene.run(scene.part("bad", "import sys; print('no disk'); sys.exit(1)"))
    assert len(scene.pids("bad")) == 6
    assert len([each for each in scene.told if "starts again" in each]) == 5


def test_a_long_log_is_kept_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOG_BYTES", 10)
    (scene.directory / "part.log").write_text("a line of yesterday\n")
    scene.steps = [(lambda: scene.ready == 1, lambda: None)]
    scene.run(scene.part("part", SLEEPS))
    assert (scene.directory / "part.1").read_text() == "a line of yesterday\n"
    assert (scene.directory / "part.log").read_text() == "up\n"
