"""What errors of model servers mean: one row for every code and status of the table, whatever the message says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm.client import error_table as table
from llm.client.error_table import BY_CODE, BY_STATUS, Fault, read_error
from llm.client.failures import SENTENCES, ModelFailure


@pytest.mark.parametrize("place", ["code", "type", "status"])
@pytest.mark.parametrize("code", BY_CODE)
def test_a_code_decides_wherever_it_stands_and_however_it_is_written(code: str, place: str) -> None:
    for written in (code, code.upper(), f"{code[:3]}_{code[3:]}", f"{code[:3]}-{code[3:]}".title()):
        for status in (400, 429, 500):
            assert read_error(status, {"error": {place: written, "message": "Something else entirely"}}).fault == BY_CODE[code]


@pytest.mark.parametrize("status", BY_STATUS)
@pytest.mark.parametrize("body", [None, [], {}, "", 7, {"error": {}}, {"error": "x"}, {"error": {"code": "what_is_this"}}, {"errors": []}])
def test_without_a_known_code_the_status_decides(status: int, body: Any) -> None:
    assert read_error(status, body).fault == BY_STATUS[status]


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("insufficient_quota", "no_credit"), ("billing_hard_limit_reached", "no_credit"), ("exceeded_current_quota_error", "no_credit"),
        ("Arrearage", "no_credit"), ("rate_limit_exceeded", "rate_limited"), ("RESOURCE_EXHAUSTED", "rate_limited"),
        ("ThrottlingException", "rate_limited"), ("overloaded_error", "server_error"), ("UNAVAILABLE", "server_error"),
        ("engine_overloaded_error", "server_error"), ("invalid_api_key", "denied"), ("UNAUTHENTICATED", "denied"),
        ("permission_error", "denied"), ("model_not_found", "denied"), ("DeploymentNotFound", "denied"),
        ("context_length_exceeded", "too_long"), ("exceed_context_size_error", "too_long"), ("content_filter", "declined"),
        ("DataInspectionFailed", "declined"), ("ResponsibleAIPolicyViolation", "declined"),
    ],
)  # fmt: skip
def test_codes_as_providers_write_them(code: str, fault: str) -> None:
    assert read_error(400, {"error": {"code": code}}).fault.reason == fault


@pytest.mark.parametrize(
    ("status", "reason", "retryable", "server_at_fault"),
    [
        (400, "refused", False, False), (401, "denied", False, True), (402, "no_credit", False, True), (403, "denied", False, True),
        (404, "denied", False, True), (408, "server_error", True, True), (409, "server_error", True, True), (413, "too_long", False, False),
        (418, "refused", False, False), (422, "refused", False, False), (425, "server_error", True, True),
        (429, "rate_limited", True, True), (500, "server_error", True, True), (502, "server_error", True, True),
        (503, "server_error", True, True), (504, "server_error", True, True), (520, "server_error", True, True),
        (529, "server_error", True, True), (302, "denied", False, True), (308, "denied", False, True),
    ],
)  # fmt: skip
def test_a_status_says_whether_to_ask_again_and_whether_the_breaker_counts(
    status: int, reason: str, retryable: bool, server_at_fault: bool
) -> None:
    fault = read_error(status, None).fault
    failure = ModelFailure(fault.reason, advice=fault.advice)
    assert (failure.reason, failure.retryable, failure.server_at_fault) == (reason, retryable, server_at_fault)
    assert failure.advice


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 512 tokens.",
        "the request exceeds the available context size, try increasing it",
        "prompt is too long: 9000 tokens > 8000 maximum",
        "Input is too long for requested model.",
    ],
)
@pytest.mark.parametrize("place", ["message", "detail", "error"])
def test_words_decide_only_where_no_code_does(words: str, place: str) -> None:
    assert read_error(400, {place: words}).fault.reason == "too_long"
    assert read_error(400, {"error": {"message": words, "code": "invalid_api_key"}}).fault == table.KEY
    assert read_error(401, {place: words}).fault == table.KEY


@pytest.mark.parametrize(
    ("code", "status"), [(429, 429), ("429", 429), (402, 402), ("nonsense", 500), (None, 500), (200, 500), (True, 500)]
)
def test_behind_a_200_the_code_is_the_status(code: Any, status: int) -> None:
    assert read_error(200, {"error": {"code": code, "message": "x"}}).status == status


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"error": {"param": "temperature"}}, ("temperature",)),
        ({"error": {"param": "response_format.json_schema.schema"}}, ("response_format",)),
        ({"error": {"param": "messages[0].role"}}, ("messages.role",)),
        ({"detail": [{"loc": ["body", "seed"]}, {"loc": ["body", "temperature"]}]}, ("seed", "temperature")),
        ({"detail": [{"loc": "body"}, 7, {}, {"loc": [0]}, {"loc": [[]]}]}, ()),
        ({"error": {"param": 7}}, ()),
        ({"error": {"param": "!!"}}, ()),
        ({"error": {"param": ""}}, ()),
    ],
)
def test_the_refused_fields_are_read_where_servers_name_them(body: Any, fields: tuple[str, ...]) -> None:
    assert read_error(400, body).fields == fields


def test_every_fault_has_its_advice() -> None:
    faults = {*BY_CODE.values(), *BY_STATUS.values()}
    assert all(fault.advice or SENTENCES[fault.reason] for fault in faults)
    assert Fault("no_credit") in faults


@pytest.mark.parametrize("depth", [3, 500])
def test_odd_shapes_are_no_error_of_ours(depth: int) -> None:
    for leaf in ("7", '"x"', "null", "[]", "{}", "true", "1e999"):
        for key in ("error", "errors", "detail", "details", "innererror", "code", "type", "param", "message"):
            value = json.loads(f'{{"{key}":' * depth + leaf + "}" * depth)
            assert read_error(400, value).fault.reason in SENTENCES
            assert read_error(400, [value]).shown().startswith("400")
