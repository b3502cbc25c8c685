"""Checks of what lies on this machine: versions, the data directory, the recovery store, the spool, catalog and secret."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from shlex import quote
from typing import Final

from confluent_kafka import libversion

from flows.bound_input import input_fault, input_name
from flows.catalogs import load_catalogs, load_plans
from flows.doctor.finding import Finding
from flows.settings import Settings
from flows.version import engine_build, onramp_version
from local.data_dir import DataDir, DataDirError
from local.durable_epoch import part_files
from local.recovery_fault import RECOVERY_ADVICE, advice_on, store_fault
from local.secret import DEVELOPMENT_SECRET, agrees
from sinks.clickhouse.spool import Spool
from state.quantity import count

_GIB: Final = 1024**3
_LEAST_FREE: Final = 1 * _GIB
_LOW_FREE: Final = 5 * _GIB


def check_versions() -> list[Finding]:
    """The versions, for a report to whoever helps."""
    ours = f"onramp {onramp_version()} ({engine_build()} engine)"
    said = f"{ours}, Python {platform.python_version()}, bytewax {version('bytewax')}, librdkafka {libversion()[0]}"
    return [Finding("versions", "ok", said)]


def check_data_dir(settings: Settings) -> list[Finding]:
    """The directory, its rights, its disk, and who uses it."""
    path, name = settings.data_dir, "data directory"
    if not path.exists():
        return [Finding(name, "warn", f"{path} does not exist yet", "The first start of the job creates it."), *_disk(_existing(path))]
    directory = DataDir.open(path)
    found = []
    if not os.access(path, os.W_OK | os.X_OK):
        found.append(
            Finding(name, "fail", f"{path} cannot be written by this user", f"Give the user of the job the right to write {path}.")
        )
    elif path.stat().st_mode & 0o077:
        found.append(
            Finding(name, "warn", f"others may read {path}, which holds data about people", f"Run `chmod 700 {quote(str(path))}`.")
        )
    else:
        user = directory.describe_owner().partition(" is in use ")[2] if directory.is_running() else ""
        found.append(Finding(name, "ok", f"{path}, {f'in use {user}' if user else 'no job runs on it'}"))
    return [*found, *_disk(path)]


def check_input(settings: Settings) -> list[Finding]:
    """Whether the settings name the input that the job of the data directory reads."""
    name, directory = "input", DataDir(settings.data_dir)
    if (fault := input_fault(settings)) is not None:
        return [Finding(name, "fail", fault.says, f"{fault.advice}.")]
    if settings.live:
        directory.check_input(input_name(settings, None))
        return [Finding(name, "ok", input_name(settings, None))]
    return [Finding(name, "ok", directory.input_name or "none yet: no job has read anything here")]


def check_recovery_store(settings: Settings) -> list[Finding]:
    """Whether all files of the store are there and can be read."""
    name = "recovery store"
    try:
        return _recovery_store_findings(settings, name)
    except (DataDirError, sqlite3.Error, OSError) as error:
        return [Finding(name, "fail", str(error).removesuffix("."), advice_on(error))]


def _recovery_store_findings(settings: Settings, name: str) -> list[Finding]:
    data_dir = DataDir(settings.data_dir)
    keeps, state = settings.processes().keeps, data_dir.state
    if keeps and (fault := store_fault(data_dir)):
        return [Finding(name, "fail", f"{state} {fault}", RECOVERY_ADVICE)]
    if not state.exists():
        return [Finding(name, "ok", "none yet; the first start of the job creates it")]
    files = part_files(state)
    if not files and not keeps:
        return [Finding(name, "ok", "none here: the first process of the job keeps it")]
    if not files:
        return [Finding(name, "fail", f"{state} has no files", RECOVERY_ADVICE)]
    for file in files:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=1.0)) as part:
            part.execute("SELECT max(snap_epoch) FROM snaps").fetchone()
    size = sum(each.stat().st_size for each in state.iterdir())
    return [Finding(name, "ok", f"{count(len(files), 'file')}, {size / 1024**2:.0f} MiB")]


def check_spool(settings: Settings) -> list[Finding]:
    """Rows that wait for ClickHouse, and rows that it refused."""
    name, path = "spool", DataDir(settings.data_dir).spool
    if not path.exists():
        return [Finding(name, "ok", "none yet")]
    spool = Spool(path, max_bytes=settings.spool_max_mb * 1024**2)
    if spool.segments_unreadable:
        return [
            Finding(
                name,
                "fail",
                f"{count(spool.segments_unreadable, 'segment')} in {spool.rejected} that nobody can read",
                "They may delete users, who are in ClickHouse then; docs/runbook.md says what to do (a segment cannot be read).",
            )
        ]
    if spool.segments_rejected:
        return [
            Finding(
                name,
                "fail",
                f"{count(spool.segments_rejected, 'segment')} of rows in {spool.rejected} that ClickHouse refused",
                "Read the .error.txt beside each, mend the cause, and move the .ready files back into the spool.",
            )
        ]
    share = spool.bytes / spool.max_bytes
    if share > 0.5:
        advice = "Bring ClickHouse back, or raise ONRAMP_SPOOL_MAX_MB: the job stops reading when the spool is full."
        return [Finding(name, "fail" if share > 0.9 else "warn", f"{100 * share:.0f} % full", advice)]
    return [Finding(name, "ok", f"{count(spool.segments_ready + spool.segments_pending, 'segment')}, {spool.bytes / 1024**2:.0f} MiB")]


def check_catalog(settings: Settings) -> list[Finding]:
    """Whether the catalogs can be loaded and are those of the data directory."""
    plans = load_plans(settings.catalog, wording=settings.llm_url is not None)
    versions = ", ".join(dict.fromkeys(plan.version for plan in plans.distinct))
    try:
        DataDir.open(settings.data_dir).check_catalogs(plans.map(lambda plan: plan.catalog.id))
    except DataDirError as error:
        if DataDir(settings.data_dir).state.exists():
            return [Finding("catalog", "fail", str(error).rstrip("."), "Set ONRAMP_CATALOG to the catalog that the job has.")]
    if settings.origin("catalog") == "default" and settings.live and not settings.embedded:
        return [Finding("catalog", "warn", f"{versions} is the sample", "Set ONRAMP_CATALOG to the catalog of your product.")]
    return [Finding("catalog", "ok", versions)]


def check_model(settings: Settings) -> list[Finding]:
    """Which models word texts, what they count as, and whether settings are for a model that is never called. Calls none."""
    name, first, second = "model", settings.llm_model, settings.llm_shared_model
    if settings.llm_url is None:
        given = "ONRAMP_LLM_SHARED_MODEL" if second is not None else "ONRAMP_LLM_KEEP_DAYS"
        return [Finding(name, "warn", f"{given} is set, and no model is called", "Set ONRAMP_LLM_URL, or remove that setting.")]
    if all(catalog.wording is None for catalog in load_catalogs(settings.catalog).distinct):
        advice = "Add the section wording to the catalog, or remove ONRAMP_LLM_URL."
        return [Finding(name, "warn", "the catalog lets no model word anything, so none is called", advice)]
    budgets = {"ONRAMP_LLM_DAILY_DOLLARS": settings.llm_daily_dollars, "ONRAMP_LLM_DAILY_TOKENS": settings.llm_daily_tokens}
    for variable, amount in budgets.items():
        if not amount:
            return [Finding(name, "warn", f"{variable} is 0, so no model is called", f"Raise {variable}, or remove ONRAMP_LLM_URL.")]
    said = first if second is None else f"{second} for shared texts, {first} for personal ones"
    kept = (
        f"prompts and rejected answers are kept for {count(settings.llm_keep_days, 'day')}" if settings.llm_keep_days else "no call is kept"
    )
    own = settings.llm_shared_input_price is not None and settings.llm_shared_output_price is not None
    if second is not None and not own and (settings.llm_input_price or settings.llm_output_price):
        advice = "Set ONRAMP_LLM_SHARED_INPUT_PRICE and ONRAMP_LLM_SHARED_OUTPUT_PRICE: budgets and reports count with them."
        return [Finding(name, "warn", f"{said}; {second} is counted at a price of {first}", advice)]
    prices = (settings.llm_input_price, settings.llm_output_price, settings.llm_shared_input_price, settings.llm_shared_output_price)
    if settings.origin("llm_daily_dollars") != "default" and not any(prices):
        advice = "Set ONRAMP_LLM_INPUT_PRICE and ONRAMP_LLM_OUTPUT_PRICE, or remove ONRAMP_LLM_DAILY_DOLLARS."
        return [Finding(name, "warn", f"{said}; all prices are 0, so the budget in dollars limits nothing", advice)]
    return [Finding(name, "ok", f"{said}; {kept}")]


def check_secret(settings: Settings) -> list[Finding]:
    """Whether there is a secret, and whether it is the one that the data directory was created with. It is never shown."""
    name, directory = "secret", DataDir(settings.data_dir)
    if settings.secret is not None:
        key, said = settings.secret.get_secret_value().encode(), "set"
    elif settings.embedded:
        key, said = DEVELOPMENT_SECRET, "the development key, as everything is embedded"
    else:
        try:
            key = directory.secret_key.read_bytes().strip()
        except FileNotFoundError:
            if directory.secret_check.exists():
                says = "ONRAMP_SECRET is not set, and the data directory was created with one"
                return [Finding(name, "fail", says, "Set ONRAMP_SECRET to the value that the job has always had.")]
            return [
                Finding(name, "warn", "ONRAMP_SECRET is not set", "Set it, the same for every process: whoever starts first makes one up.")
            ]
        said = f"made up, and stored in {directory.secret_key}"
    if settings.secret is None and input_fault(settings) is not None:  # so ONRAMP_SECRET may not be set here either
        return [Finding(name, "warn", "not compared: the settings here are not those of the job", "Use the settings of the job.")]
    if agrees(directory, key) is False:
        advice = "Set ONRAMP_SECRET to the value that the job has always had: under another one all users are new users."
        return [Finding(name, "fail", "not the one that the data directory was created with", advice)]
    if settings.secret is None and not settings.embedded:
        return [Finding(name, "warn", said, "Set ONRAMP_SECRET to it, for every process of the job, and keep a copy.")]
    return [Finding(name, "ok", said)]


def _existing(path: Path) -> Path:
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


def _disk(path: Path) -> list[Finding]:
    usage = shutil.disk_usage(path)
    said = f"{usage.free / _GIB:.1f} GiB free of {usage.total / _GIB:.0f} GiB"
    if usage.free >= _LOW_FREE:
        return [Finding("disk", "ok", said)]
    advice = f"Free space on the disk of {path}, or move the data directory: snapshots and the spool need room."
    return [Finding("disk", "warn" if usage.free >= _LEAST_FREE else "fail", said, advice)]
