"""The case types that hold in a tenant: those of the systems, and the tenant's own in their place."""

from typing import Any

from entrepot.kernel.casework.tables import case_types
from entrepot.kernel.casework.types import CaseType, case_type
from entrepot.kernel.casework.types import case_types as all_types
from entrepot.kernel.database import Scope
from entrepot.kernel.operations.errors import Conflict

CACHE = "case_types"
FRESH_US = 2_000_000
Own = dict[str, CaseType]


class Catalogue:
    """Case types of a tenant, kept in memory.

    On SQLite one process owns the file, so memory is exact; on PostgreSQL another worker's change is seen within two
    seconds, or a case would cost one query more.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._uow = scope.uow
        self._memory: dict[Any, Any] = scope.uow.database.caches.setdefault(CACHE, {})

    def get(self, name: str) -> CaseType:
        """The type of that name in this tenant. Raises Invalid for an unknown one."""
        return self._own().get(name) or case_type(name)

    def all(self) -> list[CaseType]:
        """Every type, by name."""
        types = {kind.name: kind for kind in all_types()} | self._own()
        return [types[name] for name in sorted(types)]

    def define(self, kind: CaseType) -> None:
        """Make a type the tenant's own. Raises Conflict while open cases are in states that it does not know."""
        tenant, known = self._scope.tenant, sorted(kind.known_states)
        stranded = self._uow.fetch(
            "SELECT state, COUNT(*) FROM cases WHERE tenant = %s AND type = %s AND closed = 0 "
            f"AND NOT ({self._uow.any_('state', len(known))}) GROUP BY state ORDER BY state",
            (tenant, kind.name, *known),
        )
        if stranded:
            found = ", ".join(f"{state}: {count}" for state, count in stranded)
            raise Conflict("case/states-in-use", f"Open cases are in states that {kind.name} would lose: {found}.")
        own = self._own()
        self._uow.upsert(case_types, (tenant, kind.name, kind.to_json(), self._scope.now_us))
        self._uow.set(self._memory, tenant, (self._scope.now_us, {**own, kind.name: kind}))

    def _own(self) -> Own:
        uow, now_us = self._uow, self._scope.now_us
        known: tuple[int, Own] | None = self._memory.get(self._scope.tenant)
        if known is not None and (uow.dialect == "sqlite" or 0 <= now_us - known[0] < FRESH_US):
            return known[1]
        rows = uow.read("SELECT name, definition FROM case_types WHERE tenant = %s", (self._scope.tenant,))
        own = {name: CaseType.from_json(definition) for name, definition in rows}
        if not uow.read_only:  # a reader's snapshot may be older than what the writer has changed
            self._memory[self._scope.tenant] = (now_us, own)
        return own
