"""Comparing tables: equal rows, differences, and declared differences."""

from __future__ import annotations

from benchmarks.table_diff import Deliberate, Table, compare

NOTHING = Deliberate()
COLUMNS = ("tenant_id", "decision_id", "arm", "propensity")
ROWS = (("default", "d1", "modal", 0.25), ("default", "d2", "tooltip", 0.5))


def texts(base: Table, new: Table, deliberate: Deliberate = NOTHING) -> list[str]:
    return [each.text for each in compare([base], [new], deliberate)[1]]


def test_rows_in_another_order_are_equal() -> None:
    counts, found = compare([Table("decisions", COLUMNS, ROWS)], [Table("decisions", COLUMNS, ROWS[::-1])], NOTHING)
    assert not found
    assert counts == {"decisions": (2, 2)}


def test_columns_in_another_order_are_equal() -> None:
    turned = Table("decisions", COLUMNS[::-1], [row[::-1] for row in ROWS])
    assert texts(Table("decisions", COLUMNS, ROWS), turned) == []


def test_a_missing_and_an_added_row_are_found() -> None:
    full, short = Table("decisions", COLUMNS, ROWS), Table("decisions", COLUMNS, ROWS[:1])
    assert texts(full, short) == ["only in the base: tenant_id='default', decision_id='d2', arm='tooltip', propensity=0.5"]
    assert texts(short, full) == ["only in the new tree: tenant_id='default', decision_id='d2', arm='tooltip', propensity=0.5"]


def test_a_duplicated_row_is_a_difference() -> None:
    assert len(texts(Table("decisions", COLUMNS, ROWS), Table("decisions", COLUMNS, [*ROWS, ROWS[0]]))) == 1


def test_a_difference_in_the_last_bit_is_found() -> None:
    other = (("default", "d1", "modal", 0.25000000000000006), ROWS[1])
    (text,) = texts(Table("decisions", COLUMNS, ROWS), Table("decisions", COLUMNS, other))
    assert "propensity: 0.25 is now 0.25000000000000006" in text


def test_a_tolerance_applies_to_its_column_only() -> None:
    near, far = (("default", "d1", "modal", 0.25 + 1e-14), ROWS[1]), (("default", "d1", "modal", 0.2501), ROWS[1])
    allowed = Deliberate(tolerances={"decisions.propensity": 1e-12})
    base = Table("decisions", COLUMNS, ROWS)
    assert texts(base, Table("decisions", COLUMNS, near), allowed) == []
    assert len(texts(base, Table("decisions", COLUMNS, far), allowed)) == 1
    assert len(texts(base, Table("decisions", COLUMNS, near), Deliberate(tolerances={"outcomes.propensity": 1e-12}))) == 1


def test_renamed_tables_columns_and_values_are_equal() -> None:
    new = Table("choices", ("tenant_id", "decision_id", "action", "propensity"), [("default", "d1", "popup", 0.25), ROWS[1]])
    mapped = Deliberate(tables={"decisions": "choices"}, columns={"decisions.arm": "action"}, values={"decisions.arm": {"modal": "popup"}})
    assert texts(Table("decisions", COLUMNS, ROWS), new, mapped) == []
    assert texts(Table("decisions", COLUMNS, ROWS), new) == ["the new tree has no such table", "the base has no such table"]


def test_columns_that_one_tree_lacks_are_found_unless_ignored() -> None:
    short = Table("decisions", COLUMNS[:3], [row[:3] for row in ROWS])
    full = Table("decisions", COLUMNS, ROWS)
    assert texts(full, short) == ["column propensity is missing in the new tree"]
    assert texts(short, full) == ["column propensity is missing in the base"]
    assert texts(full, short, Deliberate(ignored=frozenset({"*.propensity"}))) == []


def test_partial_rows_are_compared_by_their_sum() -> None:
    columns = ("minute", "metric", "count", "partial_id")
    base = Table("metrics", columns, [(1, "shown", 2, "a"), (1, "shown", 3, "b"), (2, "shown", 1, "c")])
    same, other = [(2, "shown", 1, "x"), (1, "shown", 5, "y")], [(2, "shown", 1, "x"), (1, "shown", 4, "y")]
    summed = Deliberate(summed={"metrics": ("partial_id", "count")})
    assert texts(base, Table("metrics", columns, same), summed) == []
    (text,) = texts(base, Table("metrics", columns, other), summed)
    assert "count: 5 is now 4" in text
