"""One thing for each tenant that a job serves, like its catalog, or what was made of it.

Most jobs have one catalog, for every tenant. A job may also have catalogs of named tenants, and then with or without one for all others. A
tenant's id is compared as it is: no file is named by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from state.catalog.plan import Plan
from state.event import Event
from state.vocabulary import USER_DELETED

T = TypeVar("T")
U = TypeVar("U")


class ByTenant(Generic[T]):
    """What each tenant has. Immutable; any thread may read it."""

    __slots__ = ("_default", "_own", "distinct", "everybody")

    def __init__(self, default: T | None, own: Mapping[str, T] = MappingProxyType({})) -> None:
        """``own``: tenant → what it has. Every other tenant has ``default``; None: there are no others."""
        self._default: Final = default
        self._own: Final = dict(own)
        each = [*([] if default is None else [default]), *self._own.values()]
        self.distinct: Final[tuple[T, ...]] = tuple({id(one): one for one in each}.values())
        """Everything that some tenant has, once: first what all others have, then in the order of ``own``."""
        self.everybody: Final = default is not None
        """Whether every tenant has something, also one that nobody named."""

    def of(self, tenant: str) -> T:
        """What ``tenant`` has. Called for each person and batch.

        Of a tenant that has nothing only deletions get this far, and a deletion is the same under every catalog: it gets the first one.
        """
        found = self._own.get(tenant, self._default)
        return self.distinct[0] if found is None else found

    def find(self, tenant: str) -> T | None:
        """What ``tenant`` has, None if it has nothing."""
        return self._own.get(tenant, self._default)

    def items(self) -> list[tuple[str | None, T]]:
        """Every tenant that is named, and None for all others, each with what it has."""
        return [*([] if self._default is None else [(None, self._default)]), *self._own.items()]

    def map(self, make: Callable[[T], U]) -> ByTenant[U]:
        """``make`` of everything. It is called once for tenants who have the same."""
        made = {id(each): make(each) for each in self.distinct}
        default = None if self._default is None else made[id(self._default)]
        return ByTenant(default, {tenant: made[id(each)] for tenant, each in self._own.items()})


Plans = ByTenant[Plan]
"""The compiled catalog of each tenant."""


def takes(plans: Plans, event: Event) -> bool:
    """Whether a job with these catalogs takes ``event``: a deletion always, and anything else of a tenant that has one."""
    return event.type == USER_DELETED or plans.find(event.tenant) is not None
