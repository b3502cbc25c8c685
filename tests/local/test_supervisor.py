"""The supervisor: real processes that end, hang, or cannot run."""

from __future__ import annotations

import errno
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


def ends_as(name: str) -> str:
    """Code of a process that writes its name when it is asked to end."""
    return (
        "import signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (open('ends', 'a').write('{name}\\n'), sys.exit(0)))\n"
        "print('up', flush=True)\n"
        "time.sleep(600)"
    )


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
        begins = f"import os\nos.chdir({str(self.directory)!r})\nopen({name!r}, 'a').write(f'{{os.getpid()}}\\n')"
        return Part(
            name=name,
            command=(sys.executable, "-c", f"{begins}\n{code}"),
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


def test_the_second_begins_when_the_first_is_healthy_and_all_are_stopped_in_the_opposite_order(scene: Scene) -> None:
    healthy: list[bool] = []
    first = scene.part("first", ends_as("first"), healthy=lambda: bool(healthy))
    second = scene.part("second", ends_as("second"))
    scene.steps = [
        (lambda: (scene.directory / "first.log").exists() and "up" in (scene.directory / "first.log").read_text(), lambda: None),
        (lambda: not scene.pids("second"), lambda: healthy.append(True)),
        (lambda: scene.ready == 1, lambda: None),
    ]
    scene.run(first, second)
    assert (scene.told, scene.ready) == ([], 1)
    assert (scene.directory / "ends").read_text().split() == ["second", "first"]


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
    with pytest.raises(ProcessLookupError):
        os.kill(scene.pids("good")[0], 0)


@pytest.mark.parametrize(("was_healthy", "starts"), [(False, 2), (True, 6)])
def test_a_process_that_ends_again_and_again_ends_everything(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, was_healthy: bool, starts: int
) -> None:
    monkeypatch.setattr(module, "_FIRST_WAIT", 0.01)
    scene.steps = [(lambda: False, lambda: None)]
    code = "import sys, time; print('no disk', flush=True); time.sleep(1); sys.exit(1)"
    with pytest.raises(PartFailedError, match="bad ended with exit code 1 and cannot run: no disk"):
        scene.run(scene.part("bad", code, healthy=None if was_healthy else lambda: False))
    assert len(scene.pids("bad")) == starts
    assert len([each for each in scene.told if "starts again" in each]) == starts - 1


def test_a_long_log_is_kept_once_while_its_process_runs(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOG_BYTES", 10)
    log, kept = scene.directory / "part.log", scene.directory / "part.1"
    log.write_text("a line of yesterday\n")
    scene.steps = [(kept.exists, lambda: None)]
    scene.run(scene.part("part", SLEEPS))
    assert kept.read_text().startswith("a line of yesterday\n")
    assert "yesterday" not in log.read_text()


def test_without_space_for_the_copy_of_a_long_log_everything_runs_on(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOG_BYTES", 1)
    looks: list[object] = []

    def full(*_: object) -> None:
        looks.append(None)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    scene.steps = [(lambda: len(looks) > 2, lambda: None), (lambda: scene.ready == 1, lambda: None)]
    scene.run(scene.part("part", SLEEPS))
    assert len(scene.pids("part")) == 1


def test_the_user_is_told_of_a_process_that_never_becomes_healthy(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.1)
    scene.steps = [(lambda: bool(scene.told), lambda: None)]
    scene.run(scene.part("part", SLEEPS, healthy=lambda: False))
    assert scene.told == [f"part is not ready yet; its log is {scene.directory / 'part.log'}."]
