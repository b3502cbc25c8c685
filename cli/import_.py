"""``onramp import``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.support.options import JsonOption, refuse_missing_directory

if TYPE_CHECKING:
    from sources.tables.importing import Outcome
    from sources.tables.mapping import Mapping

_PREVIEW_ROWS: Final = 100_000
_WATCH_ROWS: Final = 1_000
_SHOWN: Final = 5
_REJECTED: Final = ".rejected.jsonl"


def _file(path: Path | None) -> Path | None:
    if path is not None and str(path) != "-":
        if path.is_dir():
            raise typer.BadParameter(f"{str(path)!r} is a directory; name a file.")
        if not path.exists():
            raise typer.BadParameter(f"there is no file {str(path)!r}.")
    return path


def _files(paths: list[Path]) -> list[Path]:
    for path in paths:
        _file(path)
    if [str(path) for path in paths].count("-") > 1:
        raise typer.BadParameter("standard input can be read once.")
    return paths


_FilesArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="CSV, JSON lines or Parquet; - for standard input.", callback=_files)
]
_MappingOption = Annotated[
    Path | None,
    typer.Option(
        "--mapping",
        metavar="YAML",
        help="How columns become events; docs/integrations.md has its form. Without it the files hold events, as JSON lines.",
        callback=_file,
    ),
]
_OutOption = Annotated[
    str | None,
    typer.Option(
        "--out", metavar="FILE", help="Where the events go; gzipped if it ends in .gz, - for standard output. Without it: a preview."
    ),
]
_PreviewOption = Annotated[
    int | None, typer.Option("--preview", min=0, max=1_000, help="Events that the preview shows. [default: 5]", show_default=False)
]
_RejectedOption = Annotated[
    str | None, typer.Option("--rejected", metavar="FILE", help="Where rejected rows go. [default: FILE of --out with .rejected.jsonl]")
]


def import_(
    files: _FilesArgument,
    mapping: _MappingOption = None,
    out: _OutOption = None,
    preview: _PreviewOption = None,
    rejected: _RejectedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make events of the rows of tables, or join files of events. Without --out it shows what would be written, and writes nothing.

    The events of all files are sorted by time, as `onramp run --input` needs them. A row that is no event is written to the file of
    --rejected with the reason and its line. The same rows always give the same event ids, so that repeating an import counts nothing twice.
    The exit code is 1 if no row became an event.

    \b
    Example:  onramp import orders.csv --mapping orders.yaml
              onramp import orders.csv --mapping orders.yaml --out events.jsonl.gz
              onramp import events-*.jsonl.gz --out all.jsonl.gz
              zstd -dc rows.jsonl.zst | onramp import - --mapping rows.yaml --out - | onramp run --input -
    """
    if out is not None and preview is not None:
        raise typer.BadParameter("a preview writes nothing; leave --preview or --out out.", param_hint="'--preview'")
    if out is None and rejected is not None:
        raise typer.BadParameter("a preview writes nothing; name the file of the events with --out too.", param_hint="'--rejected'")
    if out == "-" and as_json:
        raise typer.BadParameter("standard output can hold one thing only: the events or the JSON object.", param_hint="'--json'")
    if out == "-" == rejected or (rejected == "-" and as_json):
        raise typer.BadParameter("standard output can hold one thing only.", param_hint="'--rejected'")
    for option, target in (("--out", out), ("--rejected", rejected)):
        if target not in {None, "-"}:
            refuse_missing_directory(str(target), option)
    read = [*files, *([mapping] if mapping is not None else [])]
    beside = rejected or f"{'import' if out in {None, '-'} else out}{_REJECTED}"
    for option, target in (("--out", out), ("--rejected", beside)):
        if out is not None and target not in {None, "-"} and any(_same(Path(str(target)), each) for each in read):
            raise typer.BadParameter(f"{target!r} is a file that is read; name another one.", param_hint=f"'{option}'")
    if out not in {None, "-"} and _same(Path(str(out)), Path(beside)):
        raise typer.BadParameter("the events and the rejected rows need a file each.", param_hint="'--rejected'")
    from cli.support.failures import say
    from cli.support.streams import interruptible
    from reports.imported import imported_json, imported_sentences, show_preview
    from reports.render import print_json

    how = None if mapping is None else _mapping(mapping)
    name = _name(files[0]) if len(files) == 1 else f"{len(files)} files"
    interruptible()
    if out is None:
        outcome, events = _look(files, how, _SHOWN if preview is None else preview)
        show_preview(name, outcome, events) if not as_json else print_json(imported_json(outcome, events=events))
    else:
        outcome = _write(files, how, out=out, rejected=beside)
        if as_json:
            print_json(imported_json(outcome, out=out, rejected_to=beside))
        else:
            for sentence in imported_sentences(name, outcome, out=out, rejected_to=beside):
                say(sentence)
    if not outcome.events:
        raise typer.Exit(1)


def _name(path: Path) -> str:
    return "standard input" if str(path) == "-" else str(path)


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def _mapping(path: Path) -> Mapping:
    from sources.errors import InputError
    from sources.tables.mapping import parse_mapping

    try:
        return parse_mapping(path.read_text(encoding="utf-8-sig"), str(path))
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text; it should be a mapping in YAML.") from None


def _look(files: Sequence[Path], mapping: Mapping | None, events: int) -> tuple[Outcome, list[bytes]]:
    found: list[tuple[int, bytes]] = []
    outcome = _run(files, mapping, take=lambda at, line: found.append((at, line)), reject=lambda _: None, most_rows=_PREVIEW_ROWS)
    found.sort(key=lambda each: each[0])
    lines = _with_sign_ups((line for _, line in found), mapping, outcome)
    shown = list(islice(lines, events))
    for _ in lines:  # the others are counted
        pass
    return outcome, shown


def _write(files: Sequence[Path], mapping: Mapping | None, *, out: str, rejected: str) -> Outcome:
    from cli.support.new_files import whole_file
    from sources.tables.time_sort import TimeSort

    directory = None if out == "-" else Path(out).parent
    with ExitStack() as both:
        refused = both.enter_context(whole_file(rejected, keep_empty=False))
        events = both.enter_context(whole_file(out, keep_empty=True))
        with TimeSort(directory) as order:
            outcome = _run(files, mapping, take=order.add, reject=lambda line: refused.write(line + b"\n"))
            for line in _with_sign_ups(order.in_order(), mapping, outcome):
                events.write(line + b"\n")
    return outcome


def _with_sign_ups(lines: Iterable[bytes], mapping: Mapping | None, outcome: Outcome) -> Iterator[bytes]:
    """Yield the events by time, with the sign-ups that the mapping adds, and count these."""
    from sources.tables.first_rows import FirstRows

    if mapping is None or mapping.signup is None:
        yield from lines
        return
    first_rows = FirstRows()
    yield from first_rows(lines)
    outcome.sign_ups = first_rows.added


def _run(
    files: Sequence[Path],
    mapping: Mapping | None,
    *,
    take: Callable[[int, bytes], None],
    reject: Callable[[bytes], object],
    most_rows: int | None = None,
) -> Outcome:
    from reports.display import Steps
    from reports.render import err
    from sources.errors import InputError
    from sources.tables.event_rows import EventRows
    from sources.tables.importing import Outcome, import_rows
    from sources.tables.mapper import Mapper
    from sources.tables.mapping import FileOptions
    from sources.tables.row_files import RowFile
    from system.wall_clock import wall_clock

    mapper = EventRows(now=wall_clock()) if mapping is None else Mapper(mapping, now=wall_clock())
    options, columns = (FileOptions(), []) if mapping is None else (mapping.file, mapping.columns())
    outcome, before = Outcome(), 0
    size = sum(path.stat().st_size for path in files if str(path) != "-")
    with Steps("Reading", "kilobyte", err()) as steps:
        for path in files:
            with RowFile(path, options, columns) as rows:
                if mapping is None and rows.format != "jsonl":
                    raise InputError(f"{rows.name} is a table; say with --mapping how its columns become events.")
                seen = 0

                def watch(rows: RowFile = rows, before: int = before) -> None:
                    nonlocal seen
                    seen += 1
                    if seen % _WATCH_ROWS == 0:
                        done = (before + rows.read_bytes) // 1_000
                        steps(done, max(done, size // 1_000, 1))

                file = rows.name if len(files) > 1 else ""
                import_rows(rows, mapper, take=take, reject=reject, watch=watch, most_rows=most_rows, before=outcome, file=file)
                before += rows.size
            if not outcome.complete:
                break
    return outcome
