"""Relations: which party stands how to which object. The base of every permission on things."""

from collections.abc import Iterable

from entrepot.kernel.database import Scope
from entrepot.kernel.parties.tables import relations

CACHE = "relations"
CACHE_LIMIT = 1_000_000
Key = tuple[str, str, str, str]


class Relations:
    """Relations of the tenant's objects.

    On SQLite one process owns the file, so what was found stays true in memory until this process changes it. On
    PostgreSQL another worker may end a relation at any time: there the primary key is asked, once an operation.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._uow = scope.uow
        memory = self._uow.database.caches if self._uow.dialect == "sqlite" else self._uow.local
        found = memory.get(CACHE)
        self._known: dict[Key, bool] = found if found is not None else memory.setdefault(CACHE, {})

    def has(self, object_id: str, relation: str, party: str) -> bool:
        """Whether the party stands in the relation to the object."""
        key = (self._scope.tenant, object_id, relation, party)
        known = self._known.get(key)
        if known is None:
            known = self._uow.row(relations, key) is not None
            if known and not self._uow.read_only:  # a reader's snapshot may be older than what the writer ended
                self._remember(key)
        return known

    def add(self, object_id: str, relation: str, party: str, *, fresh: bool = False) -> None:
        """Record a relation; one that exists stays as it is. For a `fresh` object nothing is looked up."""
        key = (self._scope.tenant, object_id, relation, party)
        if fresh or not self.has(object_id, relation, party):
            self._uow.upsert(relations, (*key, self._scope.now_us))
            self._remember(key)

    def end(self, object_id: str, relation: str, party: str) -> None:
        """End a relation, if it exists."""
        key = (self._scope.tenant, object_id, relation, party)
        self._uow.delete(relations, key)
        self._uow.unset(self._known, key)

    def of(self, object_id: str) -> list[tuple[str, str]]:
        """Every (relation, party) of an object, in alphabetical order."""
        rows = self._uow.fetch(
            "SELECT relation, party FROM relations WHERE tenant = %s AND object_id = %s ORDER BY relation, party",
            (self._scope.tenant, object_id),
        )
        return [(row[0], row[1]) for row in rows]

    def objects(self, party: str, kinds: Iterable[str], *, prefix: str = "", limit: int = 10_000) -> list[str]:
        """The objects to which the party stands in one of the relations, oldest first; `prefix` keeps a kind of id."""
        wanted = tuple(kinds)
        rows = self._uow.fetch(
            f"SELECT DISTINCT object_id FROM relations WHERE tenant = %s AND party = %s AND "
            f"{self._uow.any_('relation', len(wanted))} AND object_id >= %s AND object_id < %s "
            "ORDER BY object_id LIMIT %s",
            (self._scope.tenant, party, *wanted, prefix, prefix + "\U0010ffff", limit),
        )
        return [row[0] for row in rows]

    def _remember(self, key: Key) -> None:
        # Through the undo log: the row may be staged by an operation that is refused later.
        if len(self._known) >= CACHE_LIMIT:
            self._known.clear()
        self._uow.set(self._known, key, True)
