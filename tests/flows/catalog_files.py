"""Writes small catalogs."""

from __future__ import annotations

from pathlib import Path

SMALL = """\
id: {id}
version: 1
product: Small
observe: true
steps:
  - {{id: begin, title: begin, complete: [{{type: track, name: begun}}]}}
paths:
  - {{id: all, title: all, steps: [begin]}}
"""


def write(directory: Path, name: str, tenants: str = "", id: str = "small", extra: str = "") -> Path:  # noqa: A002 -- as in the catalog
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(SMALL.format(id=id) + (f"tenants: {tenants}\n" if tenants else "") + extra, encoding="utf-8")
    return path
