"""What the log on this machine says of itself to the readiness check."""

from __future__ import annotations

import logging

import pytest

from gateway.fake_log import FakeLog, FakeLogError
from gateway.group_commit import FAULT_SECONDS, GroupCommitLog
from gateway.log import Record, UnavailableError
from tests.support.waiting import PATIENCE, run_async, until

EVENT = Record(b"u", b"event")


class Clock:
    """Seconds, as the test sets them."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_fault_is_told_for_some_seconds_and_not_for_ever() -> None:
    """A balancer sends nothing to a gateway that is not ready, so that no commit would ever clear it."""
    stored, clock = FakeLog(), Clock()
    stored.failure = "the disk is full"

    async def look() -> None:
        log = GroupCommitLog(stored, acknowledge_seconds=PATIENCE, failures=(FakeLogError,), clock=clock)
        with pytest.raises(UnavailableError):
            await log.append([EVENT])
        clock.now = FAULT_SECONDS - 0.1
        assert await log.fault() == "the disk is full"
        clock.now = FAULT_SECONDS
        assert await log.fault() is None
        with pytest.raises(UnavailableError):
            await log.append([EVENT])
        assert await log.fault() == "the disk is full"
        stored.failure = None
        await log.append([EVENT])
        assert await log.fault() is None
        await log.close()

    run_async(look())


def test_a_disk_that_hangs_is_a_fault_until_it_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stored, clock = FakeLog(), Clock()
    stored.gate.clear()

    async def look() -> None:
        log = GroupCommitLog(stored, acknowledge_seconds=0.01, failures=(FakeLogError,), clock=clock)
        try:
            for _ in range(2):
                with pytest.raises(UnavailableError, match="did not acknowledge"):
                    await log.append([EVENT])
                assert "did not acknowledge" in str(await log.fault())
            clock.now = 100 * FAULT_SECONDS
            assert "did not acknowledge" in str(await log.fault())  # the same commit has not ended yet
        finally:
            stored.gate.set()

        async def works() -> bool:
            return len(stored.records) == 2 and await log.fault() is None

        await until(works, "the end of the late commits")
        await log.close()

    run_async(look())
    assert [record.levelname for record in caplog.records if record.name == "gateway.group_commit"] == ["ERROR", "INFO"]
