"""``onramp up`` serves and announces the demo page where the catalog in force is that of the demo's product."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.gateway import DEMO_STEPS, fits_the_demo
from cli.up import _demo_options, _parts, _show
from flows.catalogs import load_catalog, sample_at_once
from flows.settings import load_settings
from local.data_dir import DataDir
from state.catalog.parse import parse
from tests.cli.command import ROOT
from tests.cli.conftest import Inside

PAGE = ROOT / "gateway" / "browser" / "demo" / "demo.mjs"


def test_the_demo_fits_the_sample_and_a_copy_of_it_but_no_other_product() -> None:
    assert fits_the_demo(load_catalog("saas"))
    assert fits_the_demo(parse(sample_at_once(), "sample"))
    assert not fits_the_demo(load_catalog(str(ROOT / "examples" / "invoices.yaml")))
    assert not fits_the_demo(load_catalog("recipes"))
    assert not fits_the_demo(None)
    renamed = sample_at_once().replace("tour_sample", "tour")
    assert not fits_the_demo(parse(renamed, "other"))


def test_the_steps_are_those_that_the_page_can_do() -> None:
    (steps,) = re.findall(r"^const STEPS = \{\n(.*?)^\};", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"^  (\w+): \{", steps, re.MULTILINE)) == DEMO_STEPS


def test_a_demo_page_for_everyone_and_none_are_not_asked_for_together(tmp_path: Path, inside: Inside) -> None:
    refused = inside("up", "--no-demo", "--demo-for-all", cwd=tmp_path)
    assert refused.code == 2
    assert "'--demo-for-all': it opens the demo page, which --no-demo leaves out" in " ".join(refused.err.split())
    assert not (tmp_path / ".onramp").exists()


@pytest.mark.parametrize(("demo", "for_all", "said"), [(None, True, 1), (True, False, 1), (False, False, 0), (None, False, 0)])
def test_who_asks_for_the_demo_page_of_another_product_is_told(
    demo: bool | None, for_all: bool, said: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _demo_options(demo=demo, for_all=for_all, fits=False) == ()
    assert capsys.readouterr().err.count("for the sample product only") == said


@pytest.mark.parametrize("fits", [True, False])
def test_the_page_is_served_and_shown_or_neither(tmp_path: Path, capsys: pytest.CaptureFixture[str], fits: bool) -> None:
    directory, url = DataDir.create(tmp_path / "data"), "http://127.0.0.1:8080"
    _, gateway = _parts(load_settings(), directory, "saas", url, "127.0.0.1:9464", ("--demo",) if fits else ())
    assert ("--demo" in gateway.command) == fits
    _show(url, f"{url}/demo/" if fits else None, "127.0.0.1:9464", None, {}, directory)
    assert ("/demo/" in capsys.readouterr().out) == fits
