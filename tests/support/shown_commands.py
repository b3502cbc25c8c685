"""The commands that the README and the head of docker-compose.yml show to a reader, as text that a shell can run."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BLOCK = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[ \t]*(?:sh|bash|shell|console)\b[^\n]*\n(?P<body>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL
)
_COMMENT = re.compile(r"""((?:"(?:\\.|[^"])*"|'[^']*'|\\.|[^\s"'\\])+|[ \t]+)""")
_PROGRAMS = ("docker ", "onramp ", "make ", "python ")


def in_markdown(text: str) -> list[str]:
    """Each command of each shell block, in order, without comments, prompts and line ends."""
    return [command for block in _BLOCK.finditer(text) for command in _commands(block["body"])]


def in_yaml_head(text: str) -> list[str]:
    """Each command in the comment that a YAML file begins with: lines of their own that name a program."""
    head = re.match(r"(?:#[^\n]*\n)*", text)
    lines = [line.removeprefix("#").strip() for line in (head[0] if head else "").splitlines()]
    return [command for line in lines if line.startswith(_PROGRAMS) for command in _commands(line)]


def _commands(body: str) -> Iterator[str]:
    for line in re.sub(r"[ \t]*\\\n\s*", " ", body).splitlines():
        command = without_comment(line).removeprefix("$ ").strip()
        if command:
            yield command


def without_comment(line: str) -> str:
    """The line up to a ``#`` that begins a word, where a shell would see one."""
    words = []
    for found in _COMMENT.finditer(line):
        if found[0].startswith("#"):
            break
        words.append(found[0])
    return "".join(words).strip()
