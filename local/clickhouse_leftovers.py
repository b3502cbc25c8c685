"""Removes what a stopped embedded ClickHouse keeps of deleted rows for a while: parts that newer ones replaced, texts of deletions.

The engine itself removes such parts some minutes later, in the background. When it does so cannot be forced.
"""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Final, NamedTuple

from local.clickhouse_files import PREFIX

_NAME: Final = re.compile(r"([^_]+)_([0-9]+)_([0-9]+)_([0-9]+)(?:_([0-9]+))?")
_TEMPORARY: Final = ("tmp_", "delete_tmp_")


class _Part(NamedTuple):
    """A part by its name, ``PARTITION_FIRST_LAST_LEVEL``, and ``_MUTATION`` after one: the blocks of rows that it has."""

    partition: str
    first: int
    last: int
    level: int
    mutation: int

    def replaces(self, other: _Part) -> bool:
        """Whether this part has all that is left of the rows of another one, by the rule of ClickHouse."""
        same_blocks = (self.first, self.last) == (other.first, other.last)
        return (
            self != other
            and self.partition == other.partition
            and self.first <= other.first
            and self.last >= other.last
            and self.level >= other.level
            and self.mutation >= other.mutation
            and (same_blocks or self.level > other.level)
        )


def remove_leftovers(directory: Path) -> None:
    """Remove replaced parts, unfinished ones, links of a backup that was killed, and texts of deletions, which must all have ended.

    Only while no engine runs on the directory. Raises ``OSError``.
    """
    for frozen in directory.glob(f"shadow/{PREFIX}*"):
        shutil.rmtree(frozen)
    for table in directory.glob("store/*/*"):
        partitions: dict[str, dict[_Part, Path]] = defaultdict(dict)
        for path in table.iterdir():
            name = _NAME.fullmatch(path.name)
            if path.name.startswith(_TEMPORARY):
                shutil.rmtree(path)
            elif name is not None and path.is_dir():
                part = _Part(name[1], *(int(each or 0) for each in name.groups()[1:]))
                partitions[part.partition][part] = path
            elif path.match("mutation_*.txt"):
                path.unlink()
        for parts in partitions.values():
            for part, path in parts.items():
                if any(other.replaces(part) for other in parts):
                    shutil.rmtree(path)
