"""``onramp llm try``: the newest decision of a person, asked about again, on a demo that knew no model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm.client import local_model as local
from tests.cli.command import ROOT
from tests.cli.conftest import Inside, Ready
from tests.support.model_server import ModelServer, changed, error, invented_link, leaks_personal_data, refuses_json_schema
from tests.support.odd_answers import FAILED, STEPS, UNCOUNTED

TEXT = "Open the page for this step, {firstName}, and take it from the top."

_NEWEST = """
SELECT user_id, trigger, step_id, decision_id, count() OVER () AS n FROM
(SELECT * FROM decisions_final WHERE outcome = 'decided' ORDER BY decided_at DESC, version DESC LIMIT 1 BY user_id)
WHERE (trigger = 'stuck:errors') = {} ORDER BY decided_at DESC LIMIT 1
"""


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(changed(text=TEXT, confidence=0.9)) as running:
        yield running


def somebody(demo: Ready, inside: Inside, *, with_errors: bool) -> dict[str, str]:
    row = inside("sql", _NEWEST.format(int(with_errors)), "--json", cwd=demo.cwd).json["rows"][0]
    return {name: str(value) for name, value in row.items()}


def test_help_has_an_example(inside: Inside, tmp_path: Path) -> None:
    assert "Example:  onramp llm try --user u000042 --llm local" in inside("llm", "try", "--help", cwd=tmp_path).out


def test_a_person_looks_at_prompt_checks_and_text_and_nothing_is_written(demo: Ready, inside: Inside, server: ModelServer) -> None:
    who = somebody(demo, inside, with_errors=False)
    before = inside("recommend", who["user_id"], "--json", cwd=demo.cwd).json
    result = inside("llm", "try", "--user", who["user_id"], "--llm", server.url, cwd=demo.cwd)
    assert result.code == 0, result.err
    sent = server.requests[0].body["messages"]
    for message in sent:
        assert message["content"] in result.out, "as it is sent: neither wrapped nor padded"
    before_prompt, rest = result.out.split("── system ──")
    assert max(map(len, (before_prompt + rest.split("── end ──")[1]).splitlines())) <= 80
    said = " ".join(result.out.split())
    for words in (
        "The prompt nudge-1, for everybody",
        "MESSAGE IN USE",
        "grounding passed",
        "slot_value passed",
    ):
        assert words in said
    assert "take it from the top." in said.split("What the user reads")[1]
    assert "{firstName}" not in said.split("What the user reads")[1]
    assert len(server.requests) == 1
    assert who["user_id"] not in json.dumps(server.requests[0].body)
    assert inside("recommend", who["user_id"], "--json", cwd=demo.cwd).json == before
    assert inside("review", "list", "--json", cwd=demo.cwd).json["waiting"] == 0


def test_as_json_with_another_prompt(demo: Ready, inside: Inside, server: ModelServer) -> None:
    who = somebody(demo, inside, with_errors=False)
    found = inside("llm", "try", "--user", who["user_id"], "--prompt", "nudge-2", "--llm", server.url, "--json", cwd=demo.cwd).json
    assert (found["decisionId"], found["promptVersion"], found["scope"]) == (who["decision_id"], "nudge-2", "shared")
    assert (found["unfilled"], found["reason"], found["confidence"]) == (TEXT, None, 0.9)
    assert found["text"].endswith("take it from the top.")
    assert found["user"] == server.requests[0].user
    assert [each["check"] for each in found["checks"]][:5] == ["schema", "grounding", "privacy", "hygiene", "confidence"]
    assert found["inputTokens"] > 0
    assert found["attempts"] == 1


def test_of_somebody_stuck_with_errors_their_own_words_are_told_between_fences(demo: Ready, inside: Inside, server: ModelServer) -> None:
    who = somebody(demo, inside, with_errors=True)
    found = inside("llm", "try", "--user", who["user_id"], "--llm", server.url, "--json", cwd=demo.cwd).json
    assert found["scope"] == "personal"
    assert "[USER_INPUT]" in found["user"].split("ABOUT THIS PERSON")[1]
    assert who["user_id"] not in found["user"]


def test_an_answer_that_is_rejected_shows_by_what(demo: Ready, inside: Inside, server: ModelServer) -> None:
    server.script = invented_link
    who = somebody(demo, inside, with_errors=False)
    result = inside("llm", "try", "--user", who["user_id"], "--llm", server.url, cwd=demo.cwd)
    assert result.code == 0
    said = " ".join(result.out.split())
    assert "schema deep_link another link than the one in the request" in said
    assert "The template stays (deep_link)." in said
    refused = said.split("The refused text")[1].split("What the user reads")[0]
    assert "Go on at https://evil.example/login now." in refused


def test_a_text_that_would_wait_for_a_review_is_said_to(demo: Ready, inside: Inside, server: ModelServer, tmp_path: Path) -> None:
    catalog = (ROOT / "catalog" / "saas.yaml").read_text(encoding="utf-8")
    assert catalog.count("languages: [en]") == 1
    reviewed = tmp_path / "reviewed.yaml"
    reviewed.write_text(catalog.replace("languages: [en]", "languages: [en]\n  review_languages: [en]"), encoding="utf-8")
    asked = ["llm", "try", "--llm", server.url, "--catalog", reviewed, "--user"]
    user = somebody(demo, inside, with_errors=False)["user_id"]
    said = " ".join(inside(*asked, user, cwd=demo.cwd).out.split())
    assert "confidence passed" in said
    assert "approval needs_approval texts in this language are shown only after somebody approved them" in said
    text = said.split("The text users see it only if somebody approves it")[1].split("What the user reads")[0]
    assert TEXT in text
    assert "The template stays (needs_approval). In the job the text would wait for `onramp review`." in said
    found = inside(*asked, user, "--json", cwd=demo.cwd).json
    assert (found["waitsForReview"], found["reason"], found["refusedText"], found["text"]) == (True, "needs_approval", TEXT, None)
    stuck = somebody(demo, inside, with_errors=True)["user_id"]
    assert inside(*asked, stuck, "--json", cwd=demo.cwd).json["scope"] == "shared"
    assert inside("review", "list", "--json", cwd=demo.cwd).json["waiting"] == 0
    server.script = changed(text=TEXT, confidence=0.1)
    unsure = inside("llm", "try", "--llm", server.url, "--user", user, "--json", cwd=demo.cwd).json
    assert (unsure["waitsForReview"], unsure["reason"]) == (True, "low_confidence")
    server.script = invented_link
    assert not inside(*asked, user, "--json", cwd=demo.cwd).json["waitsForReview"]


def test_a_refused_text_is_printed_as_visible_characters(demo: Ready, inside: Inside, server: ModelServer) -> None:
    server.script = changed(text="Go on\u202e \x1b[31mnow, this is the next step.")
    who = somebody(demo, inside, with_errors=False)
    result = inside("llm", "try", "--user", who["user_id"], "--llm", server.url, cwd=demo.cwd)
    assert "Go on\\u202e \\x1b[31mnow" in " ".join(result.out.split())
    assert "\u202e" not in result.out
    found = inside("llm", "try", "--user", who["user_id"], "--llm", server.url, "--json", cwd=demo.cwd)
    assert (found.json["text"], found.json["refusedText"]) == (None, "Go on\u202e \x1b[31mnow, this is the next step.")
    assert "\x1b" not in found.out


def test_a_refused_text_that_looks_private_is_not_printed(demo: Ready, inside: Inside, server: ModelServer) -> None:
    server.script = leaks_personal_data
    who = somebody(demo, inside, with_errors=False)
    result = inside("llm", "try", "--user", who["user_id"], "--llm", server.url, cwd=demo.cwd)
    assert "jane.doe" not in result.out
    assert "The refused text" not in result.out


def test_a_server_is_asked_with_the_key_and_name_of_the_settings(
    demo: Ready, inside: Inside, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONRAMP_LLM_URL", server.url)
    monkeypatch.setenv("ONRAMP_LLM_API_KEY", "correct-horse")
    monkeypatch.setenv("ONRAMP_LLM_MODEL", "small")
    server.script = refuses_json_schema
    result = inside("llm", "try", "--user", somebody(demo, inside, with_errors=False)["user_id"], cwd=demo.cwd)
    assert result.code == 0, result.err
    assert server.requests[0].headers["authorization"] == "Bearer correct-horse"
    assert server.requests[0].body["model"] == "small"
    assert "correct-horse" not in result.out + result.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--user", "nobody-at-all", "--llm", "URL"], "no user nobody-at-all in .onramp/demo, tenant default"),
        (["--user", "USER"], "no model is set"),
        (["--user", "USER", "--llm", "ftp://models"], "--llm cannot be used"),
        (["--user", "USER", "--llm", "nonsense"], "`--llm local` runs a small model on this machine."),
        (["--user", "USER", "--llm", "URL", "--prompt", "nudge-none"], "There is no prompt nudge-none"),
        (["--user", "USER", "--llm", "URL", "--catalog", "recipes"], "recipes"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(demo: Ready, inside: Inside, server: ModelServer, arguments: list[str], words: str) -> None:
    named = {"USER": somebody(demo, inside, with_errors=False)["user_id"], "URL": server.url}
    result = inside("llm", "try", *(named.get(word, word) for word in arguments), cwd=demo.cwd)
    assert (result.code, result.out, len(result.err.splitlines())) == (1, "", 1), result.err
    assert words in result.err
    assert not server.requests


def test_somebody_for_whom_nothing_was_decided_is_one_sentence(demo: Ready, own: Ready, inside: Inside, server: ModelServer) -> None:
    held_out = inside("sql", "SELECT user_id FROM people_final WHERE experiment_group = 'holdout' LIMIT 1", "--json", cwd=demo.cwd)
    user = held_out.json["rows"][0]["user_id"]
    result = inside("llm", "try", "--user", user, "--llm", server.url, cwd=demo.cwd)
    assert (result.code, result.err) == (1, f"onramp: no guidance was ever decided for {user}; `onramp explain {user}` says why.\n")
    gone = inside("llm", "try", "--user", "gone", "--llm", server.url, cwd=own.cwd)
    assert (gone.code, gone.err) == (1, "onramp: no user gone in .onramp, tenant default.\n")


def test_a_server_that_is_away_or_fails_is_one_sentence(demo: Ready, inside: Inside, server: ModelServer) -> None:
    who = somebody(demo, inside, with_errors=False)["user_id"]
    server.script = error(401)
    denied = inside("llm", "try", "--user", who, "--llm", server.url, cwd=demo.cwd)
    assert (denied.code, denied.err.count("\n")) == (1, 1)
    assert "the model server does not accept the key: check ONRAMP_LLM_API_KEY; the template stays." in denied.err
    server.stop()
    away = inside("llm", "try", "--user", who, "--llm", server.url, "--json", cwd=demo.cwd)
    assert away.code == 1
    assert away.json["reason"] == "unreachable"
    assert away.err.count("\n") == 1


def test_what_the_server_does_not_take_and_does_not_count_is_said(demo: Ready, inside: Inside, server: ModelServer) -> None:
    who = somebody(demo, inside, with_errors=False)["user_id"]
    server.script = STEPS["temperature"][0]
    asked = inside("llm", "try", "--user", who, "--llm", server.url, cwd=demo.cwd)
    assert "The model server does not take temperature: leaving it out (ONRAMP_LLM_TEMPERATURE=none)." in " ".join(asked.out.split())
    server.script = UNCOUNTED["usage_missing"]
    asked = inside("llm", "try", "--user", who, "--llm", server.url, cwd=demo.cwd)
    assert "tokens (estimated: the server did not count them)" in " ".join(asked.out.split())
    server.script = FAILED["no_quota"][0]
    found = inside("llm", "try", "--user", who, "--llm", server.url, "--json", cwd=demo.cwd)
    assert (found.code, found.json["reason"], found.json["tokensEstimated"], found.json["serverDoesNotTake"]) == (1, "no_credit", False, [])
    assert "add credit or raise the quota" in found.json["advice"]


def test_without_the_local_model_it_says_what_to_type(demo: Ready, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Path:
        raise local.LocalModelError("The local model is not installed; `make local-model` installs it.")

    monkeypatch.setattr(local, "weights", absent)
    result = inside("llm", "try", "--user", somebody(demo, inside, with_errors=False)["user_id"], "--llm", "local", cwd=demo.cwd)
    assert (result.code, result.err) == (1, "onramp: The local model is not installed; `make local-model` installs it.\n")
