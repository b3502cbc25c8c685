"""The Node SDKs of Segment and RudderStack, unchanged but for their host, through gateway and log."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.group_commit import GroupCommitLog
from gateway.validation import check
from sources.errors import LogError
from sources.local_log.log import EventLog
from sources.local_log.reader import LogReader
from state.event import Event
from system.wall_clock import wall_clock
from tests.support.gateway import run_gateway
from tests.support.waiting import PATIENCE

SDKS = Path(__file__).parent / "sdks"
NODE = shutil.which("node")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timing,
    pytest.mark.skipif(NODE is None, reason="Node SDKs need Node 20 or newer on PATH"),
    pytest.mark.skipif(
        not (SDKS / "node_modules").exists(),
        reason="the Node SDKs are not installed; `npm ci --prefix tests/gateway/sdks --ignore-scripts` installs them",
    ),
]


@pytest.mark.parametrize("vendor", ["segment", "rudderstack"])
def test_a_node_sdk_sends_unchanged_but_for_its_host(tmp_path: Path, vendor: str) -> None:
    log = GroupCommitLog(EventLog(tmp_path / "log"), acknowledge_seconds=PATIENCE, failures=(LogError,))
    with run_gateway(tmp_path, log=log) as gateway:
        command = [str(NODE), str(SDKS / "send.mjs"), vendor, gateway.url, gateway.key("server")]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    reader = LogReader(tmp_path / "log")
    stored = [each for partition in range(reader.identity.partitions) for each in reader.read(partition, 0, 100) or ()]
    reader.close()
    found = [check(each.record.value, wall_clock()) for each in stored]
    events = [each for each in found if isinstance(each, Event)]
    assert len(events) == len(found)
    assert [(each.type, each.user) for each in events] == [
        ("identify", "ana"),
        ("identity_merged", "ana"),
        ("track", "ana"),
        ("signup", "ana"),
        ("page_view", "ana"),
        ("page_view", "ana"),
        ("identify", "ana"),
        ("identity_merged", "ana"),
    ]
    assert [each.payload["previousId"] for each in events if each.type == "identity_merged"] == ["cookie-1", "cookie-2"]
    assert [each.payload["path"] for each in events if each.type == "page_view"] == ["/pricing", "Home"]
    assert abs(events[0].timestamp - wall_clock()) < 600_000
