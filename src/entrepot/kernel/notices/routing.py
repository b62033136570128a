"""To which addresses a notice goes: known without a statement, because margin calls are sent on hot paths.

The active addresses of a tenant are kept in the process. On SQLite, where one process owns the file, that is exact;
on PostgreSQL another worker's change counts within `STALE_US`. An address that was ended meanwhile is noticed when the
delivery is made.
"""

from collections.abc import Mapping
from typing import NamedTuple

from entrepot.kernel.database import UnitOfWork

CACHE = "notice-routes"
STALE_US = 5_000_000
ACTIVE = "active"


class Route(NamedTuple):
    """An active address; no kinds stand for every kind."""

    address: str
    kinds: frozenset[str]


Routes = Mapping[str, tuple[Route, ...]]


def routes_of(uow: UnitOfWork, tenant: str, now_us: int, party: str, kind: str) -> list[str]:
    """The ids of the addresses to which a notice of this kind to this party goes."""
    return [r.address for r in _routes(uow, tenant, now_us).get(party, ()) if not r.kinds or kind in r.kinds]


def change_route(uow: UnitOfWork, tenant: str, now_us: int, party: str, address: str, kinds: str | None) -> None:
    """Note that an address of the party is active with these kinds, or, with None, no longer active."""
    known = _routes(uow, tenant, now_us)
    left = tuple(route for route in known.get(party, ()) if route.address != address)
    if kinds is not None:
        left = (*left, Route(address, frozenset(kinds.split())))
    uow.set(uow.database.caches[CACHE], tenant, (now_us, {**known, party: left}))


def _routes(uow: UnitOfWork, tenant: str, now_us: int) -> Routes:
    cache = uow.database.caches.setdefault(CACHE, {})
    known: tuple[int, Routes] | None = cache.get(tenant)
    if known is not None and (uow.dialect == "sqlite" or 0 <= now_us - known[0] < STALE_US):
        return known[1]
    found: dict[str, tuple[Route, ...]] = {}
    sql = "SELECT party, id, kinds FROM notice_addresses WHERE tenant = %s AND state = %s ORDER BY id"
    for party, address, kinds in uow.read(sql, (tenant, ACTIVE)):
        found[party] = (*found.get(party, ()), Route(address, frozenset(kinds.split())))
    uow.set(cache, tenant, (now_us, found))
    return found
