"""Performs a Dockerfile without a container engine: every COPY and RUN in a directory tree, with a fresh virtual environment as its Python.

The environment stands at ``/usr/local`` of the tree, where the official Python image has its own, so nothing that is installed on this
machine can be imported. Absolute paths in the file mean paths in the tree. What cannot be performed raises ``DockerfileError``; nothing is
left out in silence. What differs from a container: the system's programs are this machine's, everything runs as the current user, and
the interpreter is this machine's newest of the image's minor version, or the one that runs the tests where there is none.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

_STEP_SECONDS: Final = 900.0  # the longest step downloads 700 MB
_HARMLESS: Final = frozenset({"EXPOSE", "LABEL", "STOPSIGNAL", "MAINTAINER"})
_FLAGS: Final = {"COPY": {"from", "chown", "chmod", "link"}, "RUN": {"mount"}, "FROM": {"platform"}}
_ROOT_PATH: Final = re.compile(r"(?<![\w./:*@~-])/(?=[a-z])")
"""Where an absolute path begins in a shell command."""

_NOT_HERE: Final = {
    "PIP_NO_CACHE_DIR": "keeps a layer small; here it would download everything again",
    "PIP_ROOT_USER_ACTION": "silences a warning about the system's Python, which is not used here",
}
_FROM_HOST: Final = re.compile(r"HOME|PIP_(?!CONSTRAINT|REQUIRE|TARGET|USER|PREFIX).*|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|(?i:https?|no)_proxy")
"""What a builder of images is given from outside: where packages come from."""

_USERADD: Final = """
import os, pathlib, shutil, sys
words = sys.argv[1:]
name = words[-1]
home = words[words.index("--home-dir") + 1] if "--home-dir" in words else os.environ["IMAGE_ROOT"] + "/home/" + name
if "--create-home" in words:
    shutil.copytree("/etc/skel", home) if os.path.isdir("/etc/skel") else os.makedirs(home)
    pathlib.Path(home, ".profile").touch()
    with open(os.environ["IMAGE_OWNED"], "a") as owned:
        owned.write(home + "\\n")
with open(os.environ["IMAGE_HOME"], "w") as homes:
    homes.write(home)
"""
_CHOWN: Final = """
import os, sys
with open(os.environ["IMAGE_OWNED"], "a") as owned:
    owned.writelines(word + "\\n" for word in sys.argv[2:])
"""
_REFUSED: Final = """
import os, sys
sys.exit(os.path.basename(sys.argv[0]) + " needs root and the image's own system: it cannot be performed without a container engine, "
    "so what it does would ship unproven. Do without it, or teach tests/support/dockerfile.py to stand in for it.")
"""
_SHIMS: Final = {"useradd": _USERADD, "chown": _CHOWN} | dict.fromkeys(
    ("apt-get", "apt", "apk", "dpkg", "adduser", "addgroup", "groupadd", "usermod", "su", "sudo", "setcap", "mount"), _REFUSED
)


class DockerfileError(Exception):
    """The file is wrong, or says what cannot be performed here. The text is one sentence, and what a failed step wrote."""


@dataclass(frozen=True)
class Instruction:
    """One instruction: ``text`` has neither keyword nor flags."""

    line: int
    keyword: str
    flags: dict[str, list[str]]
    text: str

    def words(self) -> list[str]:
        """The arguments, from their JSON or their plain form."""
        if self.text.startswith("["):
            found: list[str] = json.loads(self.text)
            return found
        return shlex.split(self.text)

    def error(self, sentence: str) -> DockerfileError:
        """A fault in this line."""
        return DockerfileError(f"Dockerfile line {self.line}, {self.keyword}: {sentence}")


@dataclass(frozen=True)
class Stage:
    """What follows one FROM."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]


def parse(text: str) -> list[Stage]:
    """Read a Dockerfile. Raises ``DockerfileError``."""
    stages: list[tuple[str, str, list[Instruction]]] = []
    arguments: dict[str, str] = {}
    for each in _instructions(text):
        if each.keyword == "FROM":
            words = _substitute(each.text, arguments).split()
            if len(words) not in {1, 3} or (len(words) == 3 and words[1].upper() != "AS"):
                raise each.error("neither `FROM image` nor `FROM image AS name`.")
            stages.append((words[2] if len(words) == 3 else str(len(stages)), words[0], []))
        elif stages:
            stages[-1][2].append(each)
        elif each.keyword == "ARG":
            name, _, value = each.text.partition("=")
            arguments[name] = value
        else:
            raise each.error("stands before the first FROM.")
    if not stages:
        raise DockerfileError("The Dockerfile has no FROM.")
    return [Stage(name, base, tuple(instructions)) for name, base, instructions in stages]


def _instructions(text: str) -> Iterator[Instruction]:
    parts: list[str] = []
    begun = 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and not parts):
            continue
        begun = begun if parts else number
        parts.append(line.strip().removesuffix("\\").strip())
        if line.rstrip().endswith("\\"):
            continue
        keyword, _, rest = " ".join(parts).partition(" ")
        parts = []
        flags: dict[str, list[str]] = {}
        while flag := re.match(r"--([a-z-]+)(?:=(\S+))?\s+", rest):
            flags.setdefault(flag[1], []).append(flag[2] or "")
            rest = rest[flag.end() :]
        found = Instruction(begun, keyword.upper(), flags, rest.strip())
        if unknown := set(flags) - _FLAGS.get(found.keyword, {"interval", "timeout", "retries", "start-period"}):
            raise found.error(f"the flag --{min(unknown)} cannot be performed here.")
        if "<<" in found.text:
            raise found.error("a here-document cannot be performed here.")
        yield found
    if parts:
        raise DockerfileError("The Dockerfile ends within an instruction.")


def _substitute(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: values.get(found[1] or found[2], ""), text)


# -------------------------------------------------------------------------------------------------------------------- context


def shown(root: Path) -> list[PurePosixPath]:
    """The files of ``root`` that its .dockerignore lets an image be built from."""
    lines = [line.strip() for line in (root / ".dockerignore").read_text(encoding="utf-8").splitlines()]
    rules = [(line.removeprefix("!"), line.startswith("!")) for line in lines if line and not line.startswith("#")]
    patterns = [(_pattern(text.strip("/")), keep) for text, keep in rules]
    anew = [text for text, keep in rules if keep]

    def visible(path: PurePosixPath) -> bool:
        state = True
        for pattern, keep in patterns:
            if any(pattern.fullmatch(str(each)) for each in (path, *path.parents) if each.name):
                state = keep
        return state

    found: list[PurePosixPath] = []
    for directory, names, files in os.walk(root):
        here = PurePosixPath(Path(directory).relative_to(root).as_posix())
        names[:] = [name for name in names if visible(here / name) or any(text.startswith((f"{here / name}/", "**")) for text in anew)]
        found += [here / name for name in files if visible(here / name)]
    return sorted(found)


def _pattern(text: str) -> re.Pattern[str]:
    pieces = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    return re.compile("".join(pieces.get(piece, re.escape(piece)) for piece in re.split(r"(\*\*/|\*\*|\*|\?)", text)))


# ----------------------------------------------------------------------------------------------------------------- performing


@dataclass
class Image:
    """What a stage has become. ``root`` is its file system."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "root"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)

    def at(self, path: str) -> Path:
        """Where ``path`` of the image is on this machine; relative ones are below the working directory."""
        return self.root / os.path.normpath(PurePosixPath(self.workdir) / path).lstrip("/")

    def inside(self, text: str) -> str:
        """The text of a shell command or a setting, with its absolute paths as they are on this machine."""
        return _ROOT_PATH.sub(f"{self.root}/", text)

    def environment(self) -> dict[str, str]:
        """What a process in the container sees."""
        record = self.root.with_suffix(".home")
        home = record.read_text(encoding="utf-8") if record.exists() and self.user != "root" else str(self.root / "root")
        here = {"PATH": f"{self.at('/usr/local/bin')}:/usr/bin:/bin", "HOME": home, "TMPDIR": str(self.root / "tmp")}
        return {**here, "LANG": "C.UTF-8", **{name: value for name, value in self.env.items() if name not in _NOT_HERE}}

    @property
    def owned(self) -> list[Path]:
        """Directories that belong to the user whom the file makes."""
        record = self.root.with_suffix(".owned")
        return [Path(line) for line in record.read_text(encoding="utf-8").splitlines()] if record.exists() else []

    def files(self) -> dict[str, tuple[int, int]]:
        """Every file with its size and its time of change."""
        found = {}
        for directory, _, names in os.walk(self.root):
            for name in names:
                stat = Path(directory, name).lstat()
                found[f"{directory}/{name}"] = (stat.st_size, stat.st_mtime_ns)
        return found


def build(context: Path, directory: Path) -> Image:
    """Perform the Dockerfile of ``context`` below ``directory`` and return what its last stage makes. Raises ``DockerfileError``."""
    stages = parse((context / "Dockerfile").read_text(encoding="utf-8"))
    files = shown(context)
    built: dict[str, Image] = {}
    wanted = {name for stage in stages for each in stage.instructions for name in each.flags.get("from", ())}
    for number, stage in enumerate(stages):
        if stage is stages[-1] or {stage.name, str(number)} & wanted:
            image = Image(directory / stage.name)
            for instructions in _lineage(stage, stages):
                _perform(instructions, image, context, files, built)
            built[stage.name] = built[str(number)] = image
    return built[stages[-1].name]


def _lineage(stage: Stage, stages: Sequence[Stage]) -> Iterator[list[Instruction]]:
    """The instructions of the stages that ``stage`` stands on and its own, beginning with its Python."""
    base = next((each for each in stages[: stages.index(stage)] if each.name == stage.base), None)
    if base is not None:
        yield from _lineage(base, stages)
    elif found := re.match(r"(?:docker\.io/(?:library/)?)?python:(\d+\.\d+)", stage.base):
        yield [Instruction(0, "PYTHON", {}, found[1])]
    else:
        raise DockerfileError(
            f"FROM {stage.base}: only a stage or an official Python image can be stood in for without a container engine."
        )
    yield list(stage.instructions)


def _perform(instructions: list[Instruction], image: Image, context: Path, files: list[PurePosixPath], built: dict[str, Image]) -> None:
    arguments: dict[str, str] = {}
    for each in instructions:
        values = {**arguments, **image.env}
        match each.keyword:
            case "PYTHON":
                _place_python(each.text, image)
            case "ARG":
                name, _, value = each.text.partition("=")
                arguments[name] = _substitute(value, values)
            case "ENV":
                for word in shlex.split(_substitute(each.text, values)):
                    name, equals, value = word.partition("=")
                    if not equals:
                        raise each.error(f"{word} has no value.")
                    image.env[name] = value
            case "COPY":
                _copy(each, [_substitute(word, values) for word in each.words()], image, context, files, built)
            case "RUN":
                _run(each, image, arguments)
            case "WORKDIR":
                image.workdir = str(PurePosixPath(image.workdir) / _substitute(each.text, values))
                image.at(".").mkdir(parents=True, exist_ok=True)
            case "USER":
                image.user = _substitute(each.text, values)
            case "VOLUME":
                image.volumes += each.words()
            case "ENTRYPOINT":
                image.entrypoint, image.command = each.words(), []
            case "CMD":
                image.command = each.words()
            case "HEALTHCHECK":
                raise each.error("docker-compose.yml has the health checks, which are run from there.")
            case keyword if keyword not in _HARMLESS:
                raise each.error("cannot be performed here.")


def _place_python(minor: str, image: Image) -> None:
    home = image.at("/usr/local")
    home.parent.mkdir(parents=True)
    image.at("/tmp").mkdir()
    _shell([find_python(minor), "-m", "venv", "--copies", str(home)], Path("/"), dict(os.environ), f"FROM python:{minor}")


def find_python(minor: str) -> str:
    """An interpreter of this minor version that runs, else the one that runs this."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for candidate in (f"python{minor}", *map(str, versions.glob(f"{minor}.*/bin/python"))):
        probe = [candidate, "-c", "import sys, venv, ensurepip; print(sys.executable, *sys.version_info[:2])"]
        try:
            done = subprocess.run(probe, capture_output=True, text=True, timeout=30, check=False)
        except OSError:
            continue
        executable, *version = done.stdout.split() or [""]
        if done.returncode == 0 and ".".join(version) == minor:
            return executable
    return sys.executable


def _copy(each: Instruction, words: list[str], image: Image, context: Path, files: list[PurePosixPath], built: dict[str, Image]) -> None:
    *sources, target = words
    if "from" in each.flags:
        (stage,) = each.flags["from"]
        if stage not in built:
            raise each.error(f"there is no stage {stage} before this one.")
        root = built[stage].root
        taken = {source: _matching(root, source.lstrip("/")) for source in sources}
    else:
        root = context
        taken = {source: _among(files, source) for source in sources}
    place = image.at(target)
    into = target.endswith("/") or target in {".", ".."} or place.is_dir()
    for source, found in taken.items():
        if not found:
            raise each.error(f"{source} is not there, or .dockerignore hides it.")
        for path, relative in found:
            if len(sources) + len(found) > 2 and not into and relative == PurePosixPath(path.name):
                raise each.error(f"several files need a directory, {target}/.")
            to = place / relative if into or relative != PurePosixPath(path.name) else place
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / path, to)
            if "chmod" in each.flags:
                to.chmod(int(each.flags["chmod"][0], 8))


def _among(files: list[PurePosixPath], source: str) -> list[tuple[PurePosixPath, PurePosixPath]]:
    """Files of the context that ``source`` means, each with its path below the target."""
    clean = os.path.normpath(source.lstrip("/"))
    if clean == ".":
        return [(path, path) for path in files]
    pattern = _pattern(clean)
    whole = [(path, PurePosixPath(path.name)) for path in files if pattern.fullmatch(str(path))]
    return whole or [(path, path.relative_to(clean)) for path in files if path.is_relative_to(clean)]


def _matching(root: Path, source: str) -> list[tuple[PurePosixPath, PurePosixPath]]:
    """The same in the tree of another stage, which no .dockerignore concerns."""
    found = [path.relative_to(root) for start in sorted(root.glob(source)) for path in ([start] if start.is_file() else start.rglob("*"))]
    return _among([PurePosixPath(path.as_posix()) for path in found if (root / path).is_file()], source)


def _run(each: Instruction, image: Image, arguments: dict[str, str]) -> None:
    if any(not mount.startswith("type=cache") for mount in each.flags.get("mount", ())):
        raise each.error("only mounts of type cache can be left out here.")
    shims = image.root.with_suffix(".shims")
    shims.mkdir(exist_ok=True)
    for name, program in _SHIMS.items():
        (shims / name).write_text(f"#!{sys.executable} -I\n{program}", encoding="utf-8")
        (shims / name).chmod(0o755)
    given = {name: value for name, value in os.environ.items() if _FROM_HOST.fullmatch(name)}
    env = {**arguments, **image.environment(), **given}
    env |= {f"IMAGE_{what.upper()}": str(image.root.with_suffix(f".{what}")) for what in ("owned", "home")} | {
        "IMAGE_ROOT": str(image.root)
    }
    env["PATH"] = f"{image.at('/usr/local/bin')}:{shims}:/usr/bin:/bin"
    command = each.words() if each.text.startswith("[") else ["/bin/sh", "-c", image.inside(each.text)]
    _shell(command, image.at("."), env, f"Dockerfile line {each.line}, RUN {each.text}")


def _shell(command: list[str], cwd: Path, env: dict[str, str], what: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_STEP_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise DockerfileError(f"{what}\nhas not ended within {_STEP_SECONDS:.0f} s.") from None
    if done.returncode != 0:
        raise DockerfileError(f"{what}\nended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
