"""Reading the event log in the order of its sealed positions."""

from dataclasses import dataclass
from typing import Any

import orjson

from entrepot.kernel.database import Scope
from entrepot.kernel.database.schema import from_us

EVENT_STREAM = "events"
_COLUMNS = "e.id, e.type, e.subject, e.actor, e.party, e.at, e.operation, e.door, e.status, e.data, e.hash"


@dataclass(frozen=True, slots=True)
class Event:
    """An event; `position` is its place in the tenant's chain, None until it is sealed."""

    tenant: str
    position: int | None
    id: str
    type: str
    subject: str
    actor: str
    party: str
    at_us: int
    operation: str
    door: str
    status: int
    data: str
    hash: bytes

    def content(self) -> dict[str, Any]:
        """The data, parsed."""
        return dict(orjson.loads(self.data))

    def fields(self) -> tuple[str | int, ...]:
        """What the content hash covers, in order."""
        return (
            self.tenant, self.id, self.type, self.subject, self.actor, self.party, self.at_us, self.operation,
            self.door, self.status, self.data,
        )  # fmt: skip

    def cloudevent(self) -> dict[str, Any]:
        """The event as CloudEvents 1.0 JSON."""
        return {
            "specversion": "1.0",
            "id": self.id,
            "type": f"entrepot.{self.type}",
            "source": f"/tenants/{self.tenant}",
            "subject": self.subject,
            "time": from_us(self.at_us).isoformat().replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "actor": self.actor,
            "party": self.party,
            "status": self.status,
            "position": self.position,
            "data": self.content(),
        }


class Events:
    """The tenant's log. Events are appended by the edge and by `ctx.emit`, never here."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def read(self, after: int = 0, limit: int = 100, *, types: tuple[str, ...] = ()) -> list[Event]:
        """Sealed events with a position above `after`, in order of position; `types` keeps only these."""
        uow, tenant = self._scope.uow, self._scope.tenant
        condition = f" AND {uow.any_('e.type', len(types))}" if types else ""
        rows = uow.read(
            f"SELECT s.position, {_COLUMNS} FROM seals s JOIN events e ON e.tenant = s.tenant AND e.id = s.row_id "
            f"WHERE s.tenant = %s AND s.position > %s AND s.stream = 'events'{condition} ORDER BY s.position LIMIT %s",
            (tenant, after, *types, limit),
        )
        return [Event(tenant, *row) for row in rows]

    def latest(self, limit: int = 50, *, before: int = 1 << 62) -> list[Event]:
        """The newest sealed events below a position, newest first."""
        rows = self._scope.uow.read(
            f"SELECT s.position, {_COLUMNS} FROM seals s JOIN events e ON e.tenant = s.tenant AND e.id = s.row_id "
            "WHERE s.tenant = %s AND s.position < %s AND s.stream = 'events' ORDER BY s.position DESC LIMIT %s",
            (self._scope.tenant, before, limit),
        )
        return [Event(self._scope.tenant, *row) for row in rows]

    def about(self, subject: str, limit: int = 1000) -> list[Event]:
        """Every event about an object, oldest first, sealed or not."""
        rows = self._scope.uow.read(
            f"SELECT s.position, {_COLUMNS} FROM events e LEFT JOIN seals s "
            "ON s.tenant = e.tenant AND s.stream = 'events' AND s.row_id = e.id "
            "WHERE e.tenant = %s AND e.subject = %s ORDER BY e.id LIMIT %s",
            (self._scope.tenant, subject, limit),
        )
        return [Event(self._scope.tenant, *row) for row in rows]
