"""A layout of a snapshot and its version change together, so that no release misreads what another one wrote."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import msgspec
import pytest

from state.decision.switches import HISTORY_CODEC, History
from state.person import snapshot
from state.person.chains import CHAINS_CODEC, Chains
from state.person.identity import IDENTITY_CODEC, Identity
from state.person.link import LINK_CODEC, Link
from state.person.person import Person
from state.person.visitor import VISITOR_CODEC, Visitor
from state.stuck import estimator


def layout(kind: type | msgspec.inspect.Type) -> Iterator[str]:
    """The fields of ``kind`` and of all that they hold, with their types, in the order in which a snapshot has them."""
    held = kind if isinstance(kind, msgspec.inspect.Type) else msgspec.inspect.type_info(kind)
    yield type(held).__name__
    match held:
        case msgspec.inspect.StructType(fields=fields):
            for field in fields:
                yield field.name
                yield from layout(field.type)
        case msgspec.inspect.UnionType(types=types):
            for each in sorted(types, key=lambda each: type(each).__name__):
                yield from layout(each)
        case msgspec.inspect.DictType(key_type=key, value_type=value):
            yield from layout(key)
            yield from layout(value)
        case msgspec.inspect.ListType(item_type=item) | msgspec.inspect.VarTupleType(item_type=item):
            yield from layout(item)
        case _:
            pass


@pytest.mark.parametrize(
    ("kind", "version", "expected"),
    [
        pytest.param(Person, snapshot.VERSION, (4, 1_720_640_988), id="person"),
        pytest.param(Visitor, VISITOR_CODEC.version, (2, 3_840_669_925), id="visitor"),
        pytest.param(Identity, IDENTITY_CODEC.version, (2, 578_628_399), id="identity"),
        pytest.param(Link, LINK_CODEC.version, (1, 3_177_042_097), id="link"),
        pytest.param(estimator.EstimatorState, estimator.VERSION, (3, 905_417_421), id="estimator"),
        pytest.param(History, HISTORY_CODEC.version, (1, 244_636_711), id="switches"),
        pytest.param(Chains, CHAINS_CODEC.version, (1, 1_671_867_627), id="chains"),
    ],
)
def test_another_layout_has_another_version(kind: type, version: int, expected: tuple[int, int]) -> None:
    """Who moves, renames or retypes a field raises the version. Who appends one with a default writes its checksum here."""
    assert (version, zlib.crc32(" ".join(layout(kind)).encode())) == expected
