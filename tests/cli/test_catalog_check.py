"""``onramp catalog check`` reads the prompts that a catalog names and knows which languages can be judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import ROOT
from tests.cli.conftest import Inside

CATALOG = (ROOT / "catalog" / "saas.yaml").read_text(encoding="utf-8")
PROMPT = (ROOT / "catalog" / "prompts" / "nudge-1.yaml").read_text(encoding="utf-8").replace("version: nudge-1", "version: mine")
LINE = 1 + CATALOG[: CATALOG.index("  prompts: [")].count("\n")


def _write(directory: Path, prompt: str, version: str = "mine", languages: str = "en") -> None:
    catalog = CATALOG.replace("{version: nudge-1}", f"{{version: nudge-1}}, {{version: {version}}}")
    (directory / "c.yaml").write_text(catalog.replace("languages: [en]", f"languages: [{languages}]"), encoding="utf-8")
    (directory / "prompts").mkdir()
    (directory / "prompts" / "mine.yaml").write_text(prompt, encoding="utf-8")


def test_a_prompt_of_ones_own_beside_the_catalog_is_good(tmp_path: Path, inside: Inside) -> None:
    _write(tmp_path, PROMPT)
    result = inside("catalog", "check", "c.yaml", cwd=tmp_path)
    assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("version: mine", "version: other", "says it is version other; it must be named like its version"),
        ("[[step]]", "[[stepp]]", "user names [[stepp]], and there are component"),
        ("    signup:", "    sign:", "did you mean signup?"),
        ("purpose:", "\tpurpose:", "is not valid YAML"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_a_fault_of_the_catalog(tmp_path: Path, inside: Inside, right: str, wrong: str, words: str) -> None:
    assert right in PROMPT
    _write(tmp_path, PROMPT.replace(right, wrong))
    result = inside("catalog", "check", "c.yaml", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"c.yaml:{LINE}: wording.prompts[1].version: the prompt prompts/mine.yaml"), result.err
    assert words in result.err
    assert result.err.endswith("c.yaml has 1 fault.\n")


def test_a_prompt_that_is_missing_is_a_fault_with_the_one_that_was_meant(tmp_path: Path, inside: Inside) -> None:
    _write(tmp_path, PROMPT, version="mien")
    found = inside("catalog", "check", "c.yaml", "--json", cwd=tmp_path)
    assert found.code == 1
    assert found.json["faults"] == [
        {
            "file": "c.yaml",
            "line": LINE,
            "field": "wording.prompts[1].version",
            "message": "there is no prompt 'mien', neither in prompts/ beside the catalog nor built in; did you mean mine?",
        }
    ]


def test_a_language_that_no_check_knows_is_a_warning(tmp_path: Path, inside: Inside) -> None:
    _write(tmp_path, PROMPT, languages="en, ja, pl, ru")
    result = inside("catalog", "check", "c.yaml", cwd=tmp_path)
    assert result.code == 0
    assert result.out.startswith("c.yaml is valid")
    assert "wording.languages[2]: 'pl' cannot be recognised" in result.err
    assert result.err.count("(a warning)") == 1
    (warning,) = inside("catalog", "check", "c.yaml", "--json", cwd=tmp_path).json["warnings"]
    assert (warning["file"], warning["field"]) == ("c.yaml", "wording.languages[2]")
