"""The Dockerfile and what is sent with it, and how one is performed without a container engine (``tests/support/dockerfile.py``)."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.support.dockerfile import DockerfileError, build, parse, shown
from tests.support.image_stack import (
    PYPROJECT,
    ROOT,
)

PACKAGES = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def test_the_dockerfile_names_no_package_and_its_context_holds_all_of_them() -> None:
    """pyproject.toml has the one list of what ships."""
    for name in ("Dockerfile", ".dockerignore"):
        text = re.sub(r"(?m)^#.*", "", (ROOT / name).read_text(encoding="utf-8"))
        words = set(re.findall(r"[\w-]+", text.replace("/usr/local/", "")))  # a directory of the system, and no room
        assert not words & set(PACKAGES), name
    files = set(map(str, shown(ROOT)))
    assert {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", ".gitignore", "docker/run-job.sh"} <= files
    for package in PACKAGES:
        wanted = {str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*") if path.is_file() and path.suffix != ".pyc"}
        assert wanted
        assert wanted <= files


def test_no_secret_and_nothing_hidden_is_sent_to_the_builder(tmp_path: Path) -> None:
    secret = (
        ".env",
        "job.env",
        "docker/.env",
        ".git/config",
        ".onramp/secret.key",
        "data/secret.key",
        "flows/.env.local",
        ".venv/bin/python",
    )
    needless = ("flows/__pycache__/main.cpython-312.pyc", "tests/test_image.py", "dist/onramp.whl", "docs/events.md")
    for name in (*secret, *needless, "flows/main.py", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    shutil.copy(ROOT / ".dockerignore", tmp_path)
    assert list(map(str, shown(tmp_path))) == ["flows/main.py", "pyproject.toml"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("FROM debian:12\n", "only a stage or an official Python image"),
        ("FROM python:3.12\nADD x /\n", "line 2, ADD: cannot be performed"),
        ("FROM python:3.12\nRUN --mount=type=secret,id=x true\n", "only mounts of type cache"),
        ("FROM python:3.12\nRUN --network=none true\n", "flag --network cannot be performed"),
        ("FROM python:3.12\nRUN apt-get install -y gcc \\\n  && true\n", "apt-get needs root and the image's own system"),
        ("FROM python:3.12\nCOPY missing ./\n", "missing is not there, or .dockerignore hides it"),
        ("FROM python:3.12\nCOPY --from=other /x ./\n", "there is no stage other"),
        ("FROM python:3.12\nRUN cat <<E\nE\n", "here-document"),
        ("COPY x y\n", "stands before the first FROM"),
    ],
)
def test_what_cannot_be_performed_is_refused_in_a_sentence(
    text: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.dockerfile._place_python", lambda minor, image: image.at(".").mkdir(parents=True))
    (tmp_path / "Dockerfile").write_text(text)
    (tmp_path / ".dockerignore").write_text("")
    with pytest.raises(DockerfileError, match=re.escape(complaint)):
        build(tmp_path, tmp_path / "built")


def test_a_user_gets_the_home_and_the_directories_that_the_file_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.dockerfile._place_python", lambda minor, image: image.at(".").mkdir(parents=True))
    (tmp_path / "Dockerfile").write_text(
        "FROM python:3.12\nRUN useradd --uid 7 --create-home me && mkdir -p /var/lib/me \\\n && chown me /var/lib/me\nUSER 7\n"
    )
    (tmp_path / ".dockerignore").write_text("")
    image = build(tmp_path, tmp_path / "built")
    assert image.owned == [image.at("/home/me"), image.at("/var/lib/me")]
    assert image.environment()["HOME"] == str(image.at("/home/me"))
    assert (image.at("/home/me") / ".profile").exists()
    assert image.at("/var/lib/me").is_dir()


def test_stages_flags_and_continued_lines_are_read() -> None:
    text = 'ARG V=3.12\nFROM python:$V AS a\n# x\nRUN one \\\n  # between\n  && two\nFROM a\nCOPY --chown=1:2 --from=a ["x", "y/"]\n'
    first, second = parse(text)
    assert (first.name, first.base, second.name, second.base) == ("a", "python:3.12", "1", "a")
    assert first.instructions[0].text == "one && two"
    assert (second.instructions[0].flags, second.instructions[0].words()) == ({"chown": ["1:2"], "from": ["a"]}, ["x", "y/"])
