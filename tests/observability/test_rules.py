"""Alert rules and dashboards: each metric exists, each rule has a runbook and a test in which it fires, and each panel shows data.

Prometheus's own tools judge them where they are installed (``make alerts`` fetches them).
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from flows.metrics.collector import JobCollector, prometheus_registry, render
from flows.metrics.server import MetricsServer
from state.metrics import ALL_METRICS
from tests.observability.rules import FOLDER, RECORDED, ROOT, RULES
from tests.support.doc_pages import anchors
from tests.support.metrics_sample import MetricsSample
from tests.support.waiting import running, wait_until

DASHBOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((FOLDER / "grafana").glob("*.json"))}
PANELS = [
    (name, panel["title"], target["expr"])
    for name, dashboard in DASHBOARDS.items()
    for panel in dashboard["panels"]
    for target in panel.get("targets", [])
]
OURS = re.compile(r"\b(?:onramp|ai_onboarding|bandit|llm)_\w+")
STANDARD = frozenset({"process_resident_memory_bytes", "process_cpu_seconds_total"})


def tool(name: str) -> str:
    """The program of Prometheus; the test is skipped where it is missing."""
    found = shutil.which(name) or shutil.which(name, path=str(ROOT / ".prometheus" / "usr" / "bin"))
    if found is None:
        pytest.skip(f"there is no {name} on the PATH; `make alerts` fetches it")
    return found


def exposed() -> set[str]:
    """The names under which Prometheus stores the metrics of the catalogue."""
    plain = {metric.name for metric in ALL_METRICS if metric.kind != "histogram"}
    parts = {f"{metric.name}_{part}" for metric in ALL_METRICS if metric.kind == "histogram" for part in ("bucket", "sum", "count")}
    return plain | parts


@pytest.mark.parametrize("expression", [rule["expr"] for rule in [*RULES, *RECORDED]] + [expr for _, _, expr in PANELS])
def test_every_metric_that_is_asked_for_is_in_the_catalogue(expression: str) -> None:
    named = set(OURS.findall(expression))
    assert named <= exposed()
    assert named or "up{" in expression or any(name in expression for name in STANDARD)
    for label in re.findall(r"(?:by|on) \(([^)]*)\)", expression):
        known = {name for metric in ALL_METRICS for name in metric.labels} | {"le", "instance"}
        assert {each.strip() for each in label.split(",")} <= known


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_rule_says_what_is_wrong_how_urgent_it_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"].endswith(".")
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor in anchors(ROOT / page)
    assert f"{rule['alert']}" in (ROOT / page).read_text(encoding="utf-8"), "the runbook names its alert"
    assert rule["alert"] in (Path(__file__).parent / "rules_test.yml").read_text(encoding="utf-8"), "it fires in a test"


def test_the_runbook_names_no_alert_that_is_not_there() -> None:
    named = set(re.findall(r"\*(Onramp\w+)", (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")))
    assert named <= {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_laid_out_and_uses_the_source_that_is_provided(name: str) -> None:
    source = YAML(typ="safe", pure=True).load(FOLDER / "grafana" / "datasource.yml")["datasources"][0]["uid"]
    panels = DASHBOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["type"] == "row" or {each["datasource"]["uid"] for each in panel["targets"]} == {source}


def test_promtool_accepts_the_files_and_every_rule_fires() -> None:
    promtool = tool("promtool")
    for arguments in (["check", "config", "docker/observability/prometheus.yml"], ["test", "rules", "tests/observability/rules_test.yml"]):
        done = subprocess.run([promtool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_every_panel_shows_data_when_prometheus_has_scraped_the_endpoint(tmp_path: Path) -> None:
    """The endpoint is the real one; its figures are those of a job that does something of everything."""
    prometheus = tool("prometheus")
    job = MetricsSample(tmp_path)
    job.work()
    registry = prometheus_registry([JobCollector(job.watched)])
    endpoint = MetricsServer("127.0.0.1:0", metrics=partial(render, registry), readiness=job.watched.readiness)
    endpoint.start()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = (FOLDER / "prometheus.yml").read_text(encoding="utf-8")
    config = config.replace("job:9464", f"127.0.0.1:{endpoint.port}").replace("15s", "1s")
    (tmp_path / "prometheus.yml").write_text(config, encoding="utf-8")
    shutil.copy(FOLDER / "rules.yml", tmp_path)
    command = [
        prometheus,
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]

    def ask(query: str) -> list[Any]:
        url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                found: list[Any] = json.load(answer)["data"]["result"]
        except OSError:
            return []
        return found

    def scraped(times: int) -> bool:
        job.work()
        return any(float(each["value"][1]) >= times for each in ask('count_over_time(up{job="onramp"}[5m])'))

    try:
        with running(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)) as process:
            wait_until(lambda: scraped(6), "some scrapes", process=process, every=0.5)
            empty = [(name, title, query) for name, title, query in PANELS if not _has_figures(ask(query))]
            assert not empty
            assert ask('up{job="onramp"} == 1')
            assert not [each for each in ask("ALERTS") if each["metric"]["alertname"] in {"OnrampDown", "OnrampStoreDown", "OnrampDisk"}]
    finally:
        endpoint.close()


def _has_figures(result: list[Any]) -> bool:
    return any(each["value"][1] != "NaN" for each in result)
