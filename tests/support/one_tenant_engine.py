"""ClickHouse as a reader of one tenant sees it, for tests: the embedded engine with the row policies of a file of users.

A program, because a process can have one engine. Its argument is a directory; it reads ``Told`` from its standard input and prints JSON:
each read → its result as TSV.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import msgspec

_USERS = """<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default><password/>
<networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota><databases><onramp>{}</onramp></databases></default></users></clickhouse>"""


class Told(msgspec.Struct):
    """``statements`` make and fill the database ``onramp``; ``filters`` has the condition of each table; ``reads`` are queries."""

    statements: list[str]
    filters: dict[str, str]
    reads: list[str]


def main(directory: Path, told: Told) -> dict[str, str]:
    """Run the statements, then the reads."""
    import chdb

    users, config = directory / "users.xml", directory / "config.xml"
    rules = "".join(f"<{table}><filter>{escape(condition)}</filter></{table}>" for table, condition in told.filters.items())
    users.write_text(_USERS.format(rules), encoding="utf-8")
    listed = f"<user_directories><users_xml><path>{users}</path></users_xml></user_directories>"
    config.write_text(f"<clickhouse>{listed}</clickhouse>", encoding="utf-8")
    connection: Any = chdb.connect(f"{directory / 'data'}?config-file={config}")  # type: ignore[no-untyped-call]
    for statement in ["CREATE DATABASE onramp", "USE onramp", *told.statements]:
        connection.query(statement)
    return {read: str(connection.query(read, "TSV")) for read in told.reads}


if __name__ == "__main__":
    answers = main(Path(sys.argv[1]), msgspec.json.decode(sys.stdin.read(), type=Told))
    sys.stdout.write(msgspec.json.encode(answers).decode())
    sys.stdout.flush()
