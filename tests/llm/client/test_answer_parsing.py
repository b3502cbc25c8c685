"""Reading raw answers: the one JSON object in them, whatever stands around it."""

from __future__ import annotations

import pytest

from llm.client.answer_parsing import LARGEST, parse
from llm.client.proposal import Proposal
from llm.guardrails.check_result import CheckResult
from tests.llm.wording_requests import answer, request_for

RAW = answer(request_for(), "Open the page and go on.")


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        " \n{}\r\n\t",
        "```json\n{}\n```",
        "```\n{}\n```",
        "```JSON {} ```",
        "\n```json\r\n{}\r\n```\n",
        "```json\n{}",
        "```json\n{}\n```\nHope that helps",
        "Sure, for {step}: {}",
        "{} Hope that helps",
        "[{}]",
        f"{{}}{' ' * LARGEST}",
        "<think>the text is {short}</think>{}",
        "the text is {short}</think>\n\n{}",
        f"<think>{'hm ' * LARGEST}</think>{{}}",
    ],
)
def test_an_object_is_read_whatever_stands_around_it(around: str) -> None:
    proposal = parse(around.replace("{}", RAW))
    assert isinstance(proposal, Proposal)
    assert proposal.text == "Open the page and go on."


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "null and void",
        f"{RAW}{RAW}",
        f"{RAW} or {{}} or {RAW}",
        f'{{"proposal": NaN, "other": {RAW}}}',
        f"{RAW[:-1]}, {RAW}",
        f"<think>{RAW}",
        f"<think>{RAW}</think>",
        f"```json\n{RAW}\n```\n```json\n{RAW}\n```",
        RAW.replace('"confidence": 0.9', '"confidence": NaN'),
        RAW.replace('"confidence": 0.9', '"confidence": -Infinity'),
        RAW.replace('"language"', '"text": "again", "language"'),
        RAW.replace('"', "'"),
        "[" * 8_000,
        '{"a":' * 1_500,
        "1" * 5_000,
        "é" * (LARGEST // 2 + 1),
        "\udcff",
    ],
)
def test_two_objects_a_broken_one_or_too_much_of_it_are_refused(raw: str) -> None:
    verdict = parse(raw)
    assert isinstance(verdict, CheckResult)
    assert (verdict.check, verdict.reason) == ("schema", "not_json")


@pytest.mark.parametrize(
    "raw",
    [
        "null",
        "[]",
        '"{step}"',
        f"[{RAW}, {RAW}]",
        f'{{"proposal": {RAW}}}',
        "{}",
        RAW.replace("uiComponent", "ui_component"),
        RAW.replace('"facts": []', '"facts": null'),
        RAW.replace("0.9", "1e999"),
        RAW.replace("0.9", "true"),
        RAW.replace('"text"', '"tone": "", "text"'),
    ],
)
def test_an_object_of_another_shape_is_refused(raw: str) -> None:
    verdict = parse(raw)
    assert isinstance(verdict, CheckResult)
    assert verdict.reason == "schema"
