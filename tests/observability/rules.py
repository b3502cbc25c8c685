"""The rules for Prometheus that ship."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docker" / "observability"
GROUPS: dict[str, list[dict[str, Any]]] = {
    group["name"]: group["rules"] for group in YAML(typ="safe", pure=True).load(FOLDER / "rules.yml")["groups"]
}
RULES, RECORDED = GROUPS["onramp"], GROUPS["onramp-names"]
