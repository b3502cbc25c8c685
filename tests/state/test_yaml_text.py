"""YAML as authors of catalogs mean it: what looks like a word stays a word, and everything knows its line."""

from __future__ import annotations

import pytest

from state.catalog.yaml_text import YamlError, read


@pytest.mark.parametrize(
    "text",
    [
        "no", "yes", "on", "off", "No", "y", "N", "2026-03-01", "2026-03-01T00:00:00Z", "2026-03-01 10:00", "12:30", "1:2:3", "007", "0o17",
        "0x1F", "1_000", "1.", ".5", ".inf", "-.Inf", ".nan", "1.0.0", "24h", "10%", "+", "=", "tRUE", "Nil", "a#b", "a:b", "http://x/y",
        "🍳", "a\u2028b", "~/x",
    ],
)  # fmt: skip
def test_what_an_author_means_as_text_is_text(text: str) -> None:
    assert read(f"a: {text}\n").data == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("~", None), ("null", None), ("", None), ("0", 0), ("-7", -7), ("+3", 3), ("1.10", 1.1),
        ("1e3", 1000.0), ("-0.5E-1", -0.05), ("'true'", "true"), ('"7"', "7"), ("''", ""), ("|\n  1\n", "1\n"), (">-\n  no\n  2", "no 2"),
        ("'it''s'", "it's"), ('"\\u00e9\\t"', "é\t"), ("[a, 1, {b: }]", ["a", 1, {"b": None}]), ("{}", {}), ("[]", []),
    ],
)  # fmt: skip
def test_plain_values_are_what_yaml_says_and_quoted_ones_are_text(text: str, value: object) -> None:
    data = read(f"a: {text}\n").data
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a remark\n", "\ufeff", "---\n", "null\n", "---\n...\n"])
def test_a_text_without_a_value_is_empty(text: str) -> None:
    assert read(text).data is None


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: 2\n",
        "\ufeffa: 1\nb: 2\n",
        "a: 1\r\nb: 2\r\n",
        "a: 1\rb: 2",
        "---\na: 1\nb: 2\n...\n",
        "%YAML 1.1\n---\na: 1\nb: 2\n",
        "{a: 1, b: 2}",
    ],
)
def test_marks_at_the_start_and_ends_of_lines_of_any_kind_change_nothing(text: str) -> None:
    assert read(text).data == {"a": 1, "b": 2}


def test_every_part_knows_its_line_whatever_ends_the_lines() -> None:
    for end in ("\n", "\r\n"):
        document = read(end.join(["# a remark", "a:", "  - x", "  - {b: 1,", "     c: 2}", "d: &d", "  e: 3", "f: *d", ""]))
        where = {
            (): (2, ""), ("a",): (2, "a"), ("a", 0): (3, "a[0]"), ("a", 1, "c"): (5, "a[1].c"), ("d", "e"): (7, "d.e"),
            ("f",): (8, "f"), ("f", "e"): (7, "f.e"), ("a", 1, "missing"): (4, "a[1].missing"), ("a", 1, "b", "branch"): (4, "a[1].b"),
            ("a", 9): (2, "a"), ("new",): (2, "new"),
        }  # fmt: skip
        assert {location: document.find(location) for location in where} == where


def test_a_mapping_takes_what_it_does_not_say_itself_from_those_it_merges_the_first_first() -> None:
    document = read("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  c: 3\n  <<: [*x, *y]\nw: {<<: *x, b: 4}\n'<<': text\n")
    assert document.data["z"] == {"a": 1, "b": 1, "c": 3}
    assert document.data["w"] == {"a": 1, "b": 4}
    assert document.data["<<"] == "text", "in quotes it is a key like others"
    assert [document.find(("z", name)) for name in "abc"] == [(1, "z.a"), (1, "z.b"), (4, "z.c")]
    assert document.duplicates == []


def test_a_name_that_is_given_twice_means_the_last_one() -> None:
    assert read("a: &n 1\nb: &n 2\nc: *n\n").data["c"] == 2


def test_keys_that_appear_twice_are_found_at_every_depth() -> None:
    document = read("a: 1\nb:\n  - {c: 1, c: 2}\na: 3\n1: x\n'1': y\n")
    assert document.duplicates == [(3, "b[0].c"), (4, "a"), (6, "1")]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb:\t2\n", 2, "use spaces"),
        ("a:\n\t- b\n", 2, "use spaces"),
        ("a: 1\n---\nb: 2\n", 2, "a file is one document"),
        ("a: 1\n...\nb: 2\n", 3, "a file is one document"),
        ("a: 1\nb: !x 2\n", 2, "tags"),
        ("a: 1\nb: !!str 2\n", 2, "tags"),
        ("a: 1\nb: !!map {}\n", 2, "tags"),
        ("a: 1\nb: *c\n", 2, "text that begins with * or & needs quotes"),
        ("a: 1\nb: &\n", 2, "text that begins with * or & needs quotes"),
        ("a: 1\n<<: 3\n", 2, "<< takes a mapping"),
        ("a: 1\n<<: [{b: 1}, 3]\n", 2, "<< takes a mapping"),
        ("a: &a\n  b: *a\n", 2, "an alias contains itself"),
        ("a: &a 1\n*a : 2\n", 2, "a key is a plain word"),
        ('a: 1\nb: "\\w+"\n', 2, "in double quotes \\w means nothing; use single quotes"),
        ("a: 1\nb: `c`\n", 2, "text that begins with ` needs quotes"),
        ("a: 1\nb: c\x07\n", 2, "U+0007 is not allowed in a file"),
        ("a:\n  - b\n c\n", 3, "check the indentation"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(YamlError) as caught:
        read(text)
    assert words in str(caught.value)
    assert caught.value.line == line
