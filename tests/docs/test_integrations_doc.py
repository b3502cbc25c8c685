"""Every snippet of docs/integrations.md is run as it stands, against the gateway, a broker, a ClickHouse engine and the command.

RudderStack's SDK is no dependency: its snippet is parsed, and the requests that it makes are sent (``tests/gateway/test_segment.py``).
"""

from __future__ import annotations

import ast
import gzip
import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sources.tables.mapping import EventRule, FileOptions, Mapping, Moment, Take, parse_mapping
from state.decode import decode
from state.event import Event
from state.messages import Message
from tests.cli.command import ROOT, environment
from tests.cli.conftest import Inside, inside
from tests.support.clickhouse_http import clickhouse_server
from tests.support.gateway import run_gateway
from tests.support.refusing_kafka import INVALID_TIMESTAMP, run_refusing_kafka
from tests.support.tansu import run_tansu
from tests.support.waiting import PATIENCE

__all__ = ["inside"]

PAGE = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```\w+ (?:complete|kafka) file=(\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


CREATE = """
CREATE TABLE app_events (id UInt64, user_id String, action LowCardinality(String), at DateTime64(3, 'UTC'), properties String)
ENGINE = MergeTree ORDER BY at
"""
INSERT = """
INSERT INTO app_events VALUES (2, 'u-17', 'invoice_sent', '2026-03-02 09:24:00.250', '{"total": 12.5}'),
    (1, 'u-17', 'registered', '2026-03-02 09:15:00', '')
"""


def blocks(label: str) -> list[str]:
    """The code of the blocks with this label behind their three backquotes."""
    found = re.findall(rf"^( *)```{label}\n(.*?)^\1```$", PAGE, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(code) for _, code in found]


def shell(block: str, directory: Path, **names: str) -> str:
    """Run a block of the page, with ``onramp`` and ``python`` of this environment."""
    done = subprocess.run(
        [
            "bash",
            "-c",
            f'set -eo pipefail\nonramp() {{ "{sys.executable}" -m cli "$@"; }}\npython() {{ "{sys.executable}" "$@"; }}\n{block}',
        ],
        cwd=directory,
        env=environment(**names),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def accepted(line: str) -> Event:
    found = decode(Message(line.encode(), None, "doc", 0, 1, 1_900_000_000_000, 1_900_000_000_000, 0))
    assert isinstance(found, Event), found
    return found


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with the files of the page."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    shutil.copy(ROOT / "examples" / "invoices.yaml", tmp_path)
    return tmp_path


def test_plain_http_and_the_webhook(tmp_path: Path) -> None:
    for program in ("curl", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed; the commands of docs/integrations.md are not run")
    with run_gateway(tmp_path) as gateway:
        names = {"HOST": gateway.url, "KEY": gateway.key(), "WEBHOOK": gateway.key("webhook")}
        said = [shell(block, tmp_path, **names) for block in blocks("sh run")]
        assert [json.loads(each) for each in said] == [json.loads(each) for each in blocks("json")]
        assert [each["eventId"] for each in gateway.stored()] == ["e1", "m1"]


def test_segment_s_sdk(tmp_path: Path) -> None:
    (code,) = blocks("python segment")
    with run_gateway(tmp_path) as gateway:
        assert code.count('"sk_…"') == code.count('"http://127.0.0.1:8080"') == 1
        script = code.replace("sk_…", gateway.key()).replace("http://127.0.0.1:8080", gateway.url)
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert [(each["eventType"], each.get("name")) for each in gateway.stored() if each["eventType"] != "identity_merged"] == [
            ("identify", None),
            ("track", "Dashboard Created"),
            ("page_view", "Pricing"),
        ]


def test_rudderstack_s_snippet_is_python_and_names_the_gateway_only() -> None:
    (code,) = blocks("python rudderstack")
    assigned = {ast.unparse(node.targets[0]) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Assign)}
    assert assigned == {"analytics.write_key", "analytics.dataPlaneUrl"}


def test_the_browser_s_snippet_is_that_of_its_own_page() -> None:
    page = (ROOT / "docs" / "browser.md").read_text(encoding="utf-8")
    for block in [*blocks("html browser"), *blocks("js browser")]:
        assert block in page


def test_kafka_and_an_import_into_it(here: Path) -> None:
    with run_tansu() as broker:
        broker.create_topic("onboarding.events", partitions=3)
        (command,) = blocks("sh kafka")
        shell(command, here, BROKERS=broker.brokers)
        messages = broker.read_all("onboarding.events")
    found = [(message.key(), accepted((message.value() or b"").decode()), message.timestamp()[1]) for message in messages]
    assert len(found) == 4
    assert all(key == event.user.encode() and at == event.timestamp for key, event, at in found)


def test_the_program_for_kafka_ends_with_the_reason_of_the_broker(here: Path) -> None:
    with run_refusing_kafka() as broker:
        broker.topic, broker.no_message = "onboarding.events", INVALID_TIMESTAMP
        events = "".join(f'{{"eventId": "e{each}", "userId": "u", "timestamp": "2026-03-02T09:00:0{each}Z"}}\n' for each in range(3))
        done = subprocess.run(
            [sys.executable, "send.py", broker.brokers],
            cwd=here,
            env=environment(),
            input=events,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "not stored (3 in all): Broker: Invalid timestamp\n")


def test_the_table_of_the_page_becomes_the_events_that_it_shows(here: Path, inside: Inside) -> None:
    look, write = blocks("sh import")
    (shown,) = re.findall(r"^```\n(7 rows.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    printed = inside(*look.split()[1:], cwd=here).out
    for line in shown.splitlines():
        assert line in {"", "  …"} or " ".join(line.split()) in " ".join(printed.split()), line
    assert not (here / "events.jsonl.gz").exists()
    first, run = write.splitlines()
    assert inside(*first.split()[1:], cwd=here).code == 0
    events = [accepted(line) for line in gzip.decompress((here / "events.jsonl.gz").read_bytes()).decode().splitlines()]
    assert [(event.user, event.type) for event in events] == [
        ("u-17", "signup"),
        ("u-18", "signup"),
        ("u-18", "page_view"),
        ("u-17", "track"),
    ]
    rejected = [json.loads(line) for line in (here / "events.jsonl.gz.rejected.jsonl").read_text().splitlines()]
    assert [each["line"] for each in rejected] == [7, 8]
    summary = json.loads(shell(f"{run} --json", here))
    assert summary["thisRun"]["eventsAccepted"] == 4


def test_clickhouse_by_parquet_and_by_a_pipe(here: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; the commands of docs/integrations.md are not run")
    with clickhouse_server(here / "clickhouse") as url:
        for statement in (CREATE, INSERT):
            httpx2.post(url, content=statement.encode(), timeout=PATIENCE).raise_for_status()
        (block,) = blocks("sh clickhouse")
        shell(block, here, CLICKHOUSE=url)
    ways = [[accepted(line) for line in (here / name).read_text().splitlines()] for name in ("events.jsonl", "piped.jsonl")]
    for events in ways:
        assert [(each.id, each.user, each.name, each.payload) for each in events] == [
            ("1", "u-17", "registered", {}),
            ("2", "u-17", "invoice_sent", {"total": 12.5}),
        ]
    assert ways[0][1].timestamp == ways[1][1].timestamp == 1_772_443_440_250


def test_of_a_warehouse_each_person_is_one_user(here: Path) -> None:
    """Two people visit, sign up and go on; one identifies twice. A third visitor never signs up."""
    tables = {
        "tracks": ("event_text", "t1,v-1,u-17,09:15,Signed Up", "t2,v-1,u-17,09:24,Invoice Sent", "t3,v-2,u-18,09:20,Signed Up"),
        "pages": ("path", "p1,v-1,,09:10,/pricing", "p2,v-2,,09:11,/pricing", "p3,v-1,u-17,09:20,/invoices", "p4,v-3,,09:30,/pricing"),
        "identifies": ("plan", "i1,v-1,u-17,09:14,pro", "i2,v-1,u-17,09:23,pro", "i3,v-2,u-18,09:19,free", "i4,v-3,,09:30,free"),
    }
    for name, (column, *rows) in tables.items():
        lines = [f"id,anonymous_id,user_id,timestamp,{column}", *(row.replace(",09:", ",2026-03-02 09:") for row in rows)]
        (here / f"{name}.csv").write_text("\n".join(lines))
    (block,) = blocks("sh warehouse")
    shell(block, here)
    summary = json.loads(shell("onramp run --input events.jsonl.gz --catalog invoices.yaml --json", here))
    assert (summary["eventsAccepted"], summary["users"]) == (10, 3)
    shell("onramp import tracks.jsonl pages.jsonl --out unmerged.jsonl", here)
    summary = json.loads(shell("onramp run --input unmerged.jsonl --catalog invoices.yaml --json --data-dir unmerged", here))
    assert summary["users"] == 5, "what the page warns of"
    assert "#### Visitors who became users" in PAGE, "a note of the preview names it"


def test_the_page_explains_every_field_of_a_mapping() -> None:
    names = {f"timestamp.{name}": name for name in Moment.model_fields if name != "column"}
    names |= {f"event.{name}": name for name in EventRule.model_fields} | {f"file.{name}": name for name in FileOptions.model_fields}
    names |= {name: name for name in Mapping.model_fields if name != "file"} | {name: name for name in Take.model_fields if name != "value"}
    assert {name for name in names if f"`{name}`" not in PAGE and f"{name}, " not in PAGE and f", {name}" not in PAGE} == set()


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".yaml")])
def test_the_mappings_are_valid(name: str) -> None:
    read: Any = parse_mapping(FILES[name], name)
    assert read.columns()
