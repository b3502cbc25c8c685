"""``onramp catalog check`` reads the prompts that a catalog names and knows which languages can be judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import ROOT
from tests.cli.conftest import Inside
from tests.flows.catalog_files import write

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
    assert result.err.count("(a warning)") == 4
    warnings = inside("catalog", "check", "c.yaml", "--json", cwd=tmp_path).json["warnings"]
    assert {warning["file"] for warning in warnings} == {"c.yaml"}
    assert [warning["field"] for warning in warnings] == [f"wording.languages[{place}]" for place in (1, 2, 2, 3)]


def test_a_language_without_fixed_claims_is_a_warning(tmp_path: Path, inside: Inside) -> None:
    _write(tmp_path, PROMPT, languages="en, ja, de")
    result = inside("catalog", "check", "c.yaml", cwd=tmp_path)
    assert result.code == 0
    assert "wording.languages[1]: 'ja' has no fixed list of forbidden claims and number words" in result.err
    assert "`forbidden`" in result.err
    assert result.err.count("(a warning)") == 1
    assert "its texts wait until somebody approves them (`onramp review`)" in result.err


@pytest.mark.parametrize(("names", "waits"), [("[ja]", True), ("[ja, de]", True), ("[]", False), ("[de]", False)])
def test_the_warning_says_whether_its_texts_wait_for_an_approval(tmp_path: Path, inside: Inside, names: str, waits: bool) -> None:
    _write(tmp_path, PROMPT, languages="en, ja, de")
    catalog = (tmp_path / "c.yaml").read_text(encoding="utf-8")
    (tmp_path / "c.yaml").write_text(catalog.replace("  longest:", f"  review_languages: {names}\n  longest:"), encoding="utf-8")
    result = inside("catalog", "check", "c.yaml", cwd=tmp_path)
    assert result.code == 0
    assert ("its texts wait until somebody approves them" in result.err) is waits
    assert ("its texts are shown without an approval, because `review_languages` leaves it out" in result.err) is not waits
    assert result.err.count("(a warning)") == 1


def test_languages_with_fixed_claims_are_no_warning(tmp_path: Path, inside: Inside) -> None:
    _write(tmp_path, PROMPT, languages="en, de, fr, es, it, pt, nl")
    result = inside("catalog", "check", "c.yaml", cwd=tmp_path)
    assert (result.code, result.err) == (0, "")


def test_a_directory_is_checked_as_a_whole(tmp_path: Path, inside: Inside) -> None:
    for name in ("a", "b"):
        write(tmp_path / "c", f"{name}.yaml", f"[{name}]")
    result = inside("catalog", "check", "c", cwd=tmp_path)
    assert (result.code, result.err) == (0, "")
    assert "c/a.yaml is valid: small 1 with 1 path, 1 step, 0 arms, for a.\n" in result.out
    assert result.out.endswith("Events of tenants that are not named become dead letters (unknown_tenant).\n")
    found = inside("catalog", "check", "c", "--json", cwd=tmp_path).json
    assert [(each["file"], each["tenants"]) for each in found["catalogs"]] == [("c/a.yaml", ["a"]), ("c/b.yaml", ["b"])]
    assert (found["valid"], found["everyTenant"]) == (True, False)
    write(tmp_path / "c", "a.yaml", extra="wording: {prompts: [{version: nudge-8}]}\n")
    write(tmp_path / "c", "b.yaml", "[b]", extra="wording: {prompts: [{version: nudge-9}]}\n")
    result = inside("catalog", "check", "c", cwd=tmp_path)
    assert (result.code, result.err.count("there is no prompt")) == (1, 2)
    assert result.err.endswith("c has 2 faults.\n")


@pytest.mark.parametrize("command", [("simulate", "--users", "1"), ("catalog", "fit", "--events", "e.jsonl")])
def test_a_command_for_one_catalog_refuses_a_directory(tmp_path: Path, inside: Inside, command: tuple[str, ...]) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "e.jsonl").touch()
    result = inside(*command, "--catalog", "c", cwd=tmp_path)
    assert (result.code, "'c' is a directory; name the catalog's file" in result.err) == (2, True)


LOOKING = """  - id: account
    title: make an account
    link: /signup
    usual: 1h
    complete: [{type: page_view, where: {path: /welcome}}, {type: signup}]
"""


@pytest.mark.parametrize(
    ("starts", "warned"),
    [
        ("", True),
        ("starts: {after: '2026-03-01'}", True),
        ("starts: {match: {tier: {not_in: [staff]}}}", True),
        ("starts: {when: signup}", False),
        ("starts: {match: {tier: free}}", False),  # of a visitor no tier is known
        ("observe: true", False),
    ],
)
def test_a_step_of_the_sign_up_is_warned_of_where_visitors_can_be_guided_to_it(
    starts: str, warned: bool, tmp_path: Path, inside: Inside
) -> None:
    """They sign in with it, and of what they do then it is not known whose guidance brought it about."""
    text = (ROOT / "examples" / "invoices.yaml").read_text(encoding="utf-8")
    text = text.replace("version: 1\n", f"version: 1\n{starts}\n", 1).replace("steps:\n", f"steps:\n{LOOKING}", 1)
    text = text.replace("steps: [company,", "steps: [account, company,")
    (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
    result = inside("catalog", "check", "c.yaml", cwd=tmp_path)
    assert result.code == 0
    assert result.err.startswith("c.yaml:") == warned
    if warned:
        field = "steps[0].complete[1].type"
        assert f"{field}: the sign-up completes step 'account', and visitors can be guided to it" in result.err
        assert inside("catalog", "check", "c.yaml", "--json", cwd=tmp_path).json["warnings"][0]["field"] == field
