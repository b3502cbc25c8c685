"""A reader of one tenant sees its rows, in every table and view, and nobody else's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from sinks.clickhouse.grants import rows_of, tenant_grants, views
from sinks.clickhouse.migrate import shipped
from state.records.facts import FACTS
from tests.support.one_tenant_engine import Told

ROOT = Path(__file__).parents[2]
ODD = "a'c\\me`"
PERSON = "('acme', 'a', 'adaptive'), ('other', 'b', 'adaptive')"


def test_every_table_is_granted_with_a_policy_after_that_of_those_who_see_all() -> None:
    told = tenant_grants("onramp", "acme", users=["reader"], see_all=["job", "gateway"])
    tables = [kind.TABLE for kind in FACTS]
    assert sorted(rows_of("acme")) == sorted(tables)
    for table in tables:
        about = [each for each in told if f" ON onramp.{table} USING " in each]
        assert [each.rpartition(" TO ")[2] for each in about] == ["`job`", "`gateway`", "`onramp tenant acme`"]
        assert f"GRANT SELECT ON onramp.{table} TO `onramp tenant acme`" in told
    assert not [each for each in told if "schema_migrations" in each or "onramp.*" in each]  # what is added later is not granted by itself
    assert told[0].startswith("CREATE ROLE IF NOT EXISTS")
    assert told[-1] == "GRANT `onramp tenant acme` TO `reader`"


def test_a_reader_sees_one_tenant_in_every_view(tmp_path: Path) -> None:
    """The conditions are those of the policies, which the engine takes from a file here: it has no place for roles."""
    made = ["CREATE TABLE schema_migrations (version UInt32, name String, checksum String, applied_at Int64) ENGINE = Memory"]
    made += [statement for each in shipped() for statement in each.statements()]
    made += [f"INSERT INTO {kind.TABLE} (tenant_id) VALUES ('acme'), ('other')" for kind in FACTS if "tenant_id" in kind.__struct_fields__]
    made.append(f"INSERT INTO people (tenant_id, user_id, experiment_group) VALUES {PERSON}")
    letters = "('1', ['acme']), ('2', ['other']), ('3', []), ('4', ['acme', 'other'])"
    made.append(f"INSERT INTO dead_letters (dead_letter_id, tenant_ids) VALUES {letters}")
    of_tenants = [
        name for name in [*rows_of("acme"), *views()] if name not in {"dead_letters", "dead_letters_final", "dead_letters_by_reason"}
    ]
    by_tenant = {name: f"SELECT DISTINCT tenant_id FROM {name}" for name in of_tenants if name != "freshness"}
    letters_seen = "SELECT dead_letter_id FROM dead_letters_final"
    syntax = [f"EXPLAIN AST {each}" for each in tenant_grants("onramp", ODD, users=[ODD], see_all=[ODD])]
    told = Told(made, rows_of("acme"), [*by_tenant.values(), letters_seen, *syntax])
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.one_tenant_engine", str(tmp_path)],
        input=msgspec.json.encode(told), cwd=ROOT, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found = msgspec.json.decode(done.stdout, type=dict[str, str])
    seen = {name: set(found[read].split()) for name, read in by_tenant.items()}
    assert not {name: tenants for name, tenants in seen.items() if not tenants <= {"acme"}}
    assert all(seen[kind.TABLE] == seen[f"{kind.TABLE}_final"] == {"acme"} for kind in FACTS if kind.TABLE in seen)
    assert found[letters_seen].split() == ["1"]


def test_the_server_hides_all_rows_from_users_without_a_policy() -> None:
    config = (ROOT / "docker" / "clickhouse" / "config.xml").read_text(encoding="utf-8")
    assert "<users_without_row_policies_can_read_rows>false</users_without_row_policies_can_read_rows>" in config
