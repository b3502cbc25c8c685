"""The option ``--llm``: selects the model, and runs the local one for as long as a command needs it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.support.failures import say
from local.child_process import start_bound_process, stop_process

if TYPE_CHECKING:
    from pydantic import SecretStr

LOCAL: Final = "local"
TIMEOUT_SECONDS: Final = 60.0
"""For one call of the local model: it takes seconds on an idle machine, and longer on a busy one."""

_READY_WAIT: Final = 90.0  # seconds; the weights are read from disk and the processor may be busy
_STOP_WAIT: Final = 2.0
_PAUSE: Final = 0.05

LlmOption = Annotated[
    str | None,
    typer.Option(
        "--llm",
        metavar="URL",
        help="An OpenAI-compatible server, like http://models:8000/v1; `local` runs a small model here (`make local-model`).",
        show_default=False,
    ),
]


@contextmanager
def chosen_model(llm: str | None) -> Iterator[dict[str, Any]]:
    """Yield the settings for the model ``llm``: a server, or ``local`` for one that runs during the block. None switches models off.

    A server uses the key and the model's name from the environment; the local one uses neither, and costs nothing. It words all texts: a
    second model that the environment names is not called. Call it from the main thread. Raises ``LocalModelError`` and ``SettingsError``.
    """
    if llm is None:
        yield {"llm_url": None, "llm_api_key": None}
    elif llm == LOCAL:
        with _run_local_model() as changes:
            yield changes
    else:
        yield {"llm_url": _checked(llm), "llm_shared_model": None}


def _checked(url: str) -> SecretStr | None:
    from flows.settings import SettingsError, load_settings

    try:
        return load_settings(llm_url=url).llm_url
    except SettingsError as error:
        said = str(error).replace("--llm-url", "--llm")
        if said.startswith("--llm ") and "://" not in url:
            said = f"{said.removesuffix('.')}; `--llm {LOCAL}` runs a small model on this machine."
        raise SettingsError(said) from None


@contextmanager
def _run_local_model() -> Iterator[dict[str, Any]]:
    """Run the local model in a child process that ends with this one; yield its settings."""
    from pydantic import SecretStr

    from llm.client import local_model as local
    from local.last_log_line import last_log_line

    local.weights()
    with tempfile.TemporaryDirectory(prefix="onramp-") as folder, _no_proxy():
        address, log_path = Path(folder) / "address.json", Path(folder) / "log"
        say("loading the local model; it is small and its texts are poor. It shows how Onramp works, not what a good model writes.")
        with log_path.open("wb") as log:
            process = start_bound_process([sys.executable, "-P", local.__file__, str(address)], output=log)
        try:
            deadline = time.monotonic() + _READY_WAIT
            while not address.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise local.LocalModelError(f"The local model did not start: {last_log_line(log_path)}.")
                time.sleep(_PAUSE)
            found = json.loads(address.read_bytes())
            yield {
                "llm_url": SecretStr(found["url"]),
                "llm_api_key": SecretStr(found["key"]),
                "llm_model": local.MODEL,
                "llm_shared_model": None,
                "llm_timeout_seconds": TIMEOUT_SECONDS,
                "llm_in_flight": local.SLOTS,
                "llm_input_price": 0.0,
                "llm_output_price": 0.0,
                "llm_daily_dollars": 1.0,  # it uses none of them; 0 would allow no call
            }
        finally:
            stop_process(process, _STOP_WAIT)


@contextmanager
def _no_proxy() -> Iterator[None]:
    """During the block, connections to this machine use no proxy."""
    before = os.environ.get("NO_PROXY"), os.environ.get("no_proxy")
    given = before[0] or before[1]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = f"{given},127.0.0.1" if given else "127.0.0.1"
    try:
        yield
    finally:
        for name, value in zip(("NO_PROXY", "no_proxy"), before, strict=True):
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
