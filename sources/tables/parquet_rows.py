"""Reads the rows of a Parquet file, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from sources.errors import InputError

_BATCH_ROWS: Final = 10_000
_SHOWN: Final = 20


def parquet_rows(path: Path, wanted: Sequence[str]) -> Iterator[tuple[float, dict[str, Any]]]:
    """Yield every row, with the share of the file that is read. ``wanted``: columns, dotted for nested ones.

    Raises ``InputError`` if the file is damaged or lacks one of them.
    """
    try:
        scan = pl.scan_parquet(path, glob=False)
        names = scan.collect_schema().names()
        for column in wanted:
            if column not in names and column.partition(".")[0] not in names:
                listed = ", ".join(names[:_SHOWN]) + ("…" if len(names) > _SHOWN else "")
                raise InputError(f"The file has no column {column}; there are {listed}. Correct the mapping.")
        total = scan.select(pl.len()).collect().item()
        done = 0
        for batch in scan.collect_batches(chunk_size=_BATCH_ROWS):
            done += batch.height
            for row in batch.iter_rows(named=True):
                yield done / total, row
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        said = (str(error).splitlines() or [""])[0][:200]
        raise InputError(f"{path} cannot be read as Parquet ({said}); export it again.") from error
