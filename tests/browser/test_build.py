"""The built snippet that is committed is the build of the source that is committed, small enough, and what the wheel ships."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.browser_routes import SNIPPET
from gateway.caller import NOT_FROM_PAGES

ROOT = Path(__file__).resolve().parents[2]
BROWSER = ROOT / "gateway" / "browser"
TOOLS = ROOT / "scripts" / "browser"
BUILD: dict[str, Any] = json.loads((BROWSER / "build.json").read_text(encoding="utf-8"))
MOST_BYTES = 12 * 1024
"""Of the script, compressed with gzip: the 12 KB of docs/browser.md."""


def source_hash(browser: Path, tools: Path) -> str:
    """Hash everything the build depends on, as scripts/browser/build.mjs does."""
    files = {f"src/{path.name}": path for path in (browser / "src").iterdir()}
    files |= {name: tools / name for name in ("build.mjs", "package.json", "tsconfig.json")}
    found = hashlib.sha256()
    for name, path in sorted(files.items()):
        found.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()


def test_the_build_is_of_this_source() -> None:
    """After a change of gateway/browser/src run `make browser` and commit what it writes."""
    assert BUILD["source"] == source_hash(BROWSER, TOOLS)


def test_a_change_of_the_source_is_seen(tmp_path: Path) -> None:
    shutil.copytree(BROWSER / "src", tmp_path / "src")
    assert source_hash(tmp_path, TOOLS) == BUILD["source"]
    changed = tmp_path / "src" / "queue.ts"
    changed.write_text(changed.read_text(encoding="utf-8").replace("500", "501", 1), encoding="utf-8")
    assert source_hash(tmp_path, TOOLS) != BUILD["source"]


@pytest.mark.parametrize("name", ["onramp.js", "onramp.mjs", "onramp.d.ts"])
def test_the_built_file_is_as_it_was_built(name: str) -> None:
    digest = hashlib.sha384((BROWSER / name).read_bytes()).digest()
    assert BUILD["files"][name]["integrity"] == f"sha384-{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize("name", ["onramp.js", "onramp.mjs"])
def test_the_script_is_small(name: str) -> None:
    assert BUILD["files"][name]["gzip"] <= MOST_BYTES
    here = len(gzip.compress((BROWSER / name).read_bytes(), 9))
    assert here <= MOST_BYTES * 1.02, "implementations of gzip differ by less"


@pytest.mark.parametrize("name", ["onramp.js", "onramp.mjs"])
def test_the_script_uses_nothing_that_could_run_a_text(name: str) -> None:
    """Whatever parses markup, runs text as code, or sets a style by attribute breaks a strict policy, or would let a message in."""
    text = (BROWSER / name).read_text(encoding="utf-8")
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    assert not re.findall(r"setAttribute\([\"']style|createElement\([\"']style", text)


@pytest.mark.slow
@pytest.mark.skipif(not (TOOLS / "node_modules").exists(), reason="the tools of the build are not installed; `make browser` installs them")
def test_building_again_gives_the_same_files(tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node is not None
    subprocess.run([node, str(TOOLS / "build.mjs"), str(tmp_path)], check=True, capture_output=True, timeout=300)
    for name in (*BUILD["files"], "build.json"):
        assert (tmp_path / name).read_bytes() == (BROWSER / name).read_bytes(), name


REACT: Final = """declare module "react" {
  export function useEffect(effect: () => void | (() => void), on: unknown[]): void;
  export function useSyncExternalStore<T>(listen: (changed: () => void) => () => void, value: () => T, onServer: () => T): T;
}
"""
"""What the snippet of docs/browser.md uses of React's types."""


@pytest.mark.slow
@pytest.mark.skipif(not (TOOLS / "node_modules").exists(), reason="the tools of the build are not installed; `make browser` installs them")
@pytest.mark.parametrize("module", [["esnext", "--moduleResolution", "bundler"], ["nodenext"]], ids=["bundler", "nodenext"])
def test_the_typescript_of_the_page_compiles_beside_what_the_gateway_serves(tmp_path: Path, module: list[str]) -> None:
    (hook,) = re.findall(r"^```tsx\n(.*?)^```$", (ROOT / "docs" / "browser.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for name, file in SNIPPET.items():
        shutil.copy(BROWSER / file, tmp_path / name)
    (tmp_path / "hook.tsx").write_text(hook, encoding="utf-8")
    (tmp_path / "react.d.ts").write_text(REACT, encoding="utf-8")
    (tmp_path / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    tsc = [str(TOOLS / "node_modules" / ".bin" / "tsc"), "--noEmit", "--strict", "--target", "es2022", "--jsx", "preserve", "--types", ""]
    done = subprocess.run(
        [*tsc, "--module", *module, "react.d.ts", "hook.tsx"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_snippet_sends_with_a_token_what_a_publishable_key_may_not() -> None:
    (listed,) = re.findall(r"^const OF_THE_USER = (\[.*\]);$", (BROWSER / "src" / "client.ts").read_text(encoding="utf-8"), re.MULTILINE)
    assert {*json.loads(listed), "user_deleted"} == NOT_FROM_PAGES, "user_deleted is for servers only"
