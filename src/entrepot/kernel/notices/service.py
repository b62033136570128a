"""Sending and reading notices."""

from typing import Any

from entrepot.kernel.database import Scope
from entrepot.kernel.notices.routing import routes_of
from entrepot.kernel.notices.tables import deliveries, notices
from entrepot.kernel.notices.values import Notice
from entrepot.kernel.operations.errors import NotFound

Title = tuple[str, str]
QUEUED, DELIVERED, FAILED = "queued", "delivered", "failed"
COLUMNS = ", ".join(column.name for column in notices.columns)


class Notices:
    """The tenant's notices, to parties (organisations) and to people."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._uow = scope.uow

    def send(
        self, party: str, kind: str, title: Title, body: Title, subject: str = "", *, address: str | None = None
    ) -> str:
        """Put a message into the inbox of a party or person, with this operation; its id.

        After the commit it goes to the addresses that the party registered for this kind of notice, or, with
        `address`, to that one alone.
        """
        scope, uow = self._scope, self._uow
        identifier = scope.new_id("ntc")
        uow.insert(notices, (scope.tenant, identifier, party, kind, subject, *title, *body, scope.now_us, 0, ""))
        found = routes_of(uow, scope.tenant, scope.now_us, party, kind) if address is None else [address]
        for each in found:
            uow.insert(deliveries, (scope.tenant, identifier, each, QUEUED, 0, scope.now_us, scope.now_us, ""))
        return identifier

    def inbox(self, party: str, *, person: str = "", unread_only: bool = False, limit: int = 100) -> list[Notice]:
        """Messages to a party, and to the person who acts for it, the newest first."""
        condition = " AND read_at = 0" if unread_only else ""
        whose = sorted({party, person} - {""})
        rows = self._uow.fetch(
            f"SELECT {COLUMNS} FROM notices WHERE tenant = %s AND {self._uow.any_('party', len(whose))}{condition} "
            "ORDER BY id DESC LIMIT %s",
            (self._scope.tenant, *whose, limit),
        )
        return [Notice(*row[1:]) for row in rows]

    def unread(self, party: str, *, person: str = "") -> int:
        """How many messages to a party, and to the person who acts for it, nobody has read."""
        whose = sorted({party, person} - {""})
        rows = self._uow.fetch(
            f"SELECT COUNT(*) FROM notices WHERE tenant = %s AND {self._uow.any_('party', len(whose))} AND read_at = 0",
            (self._scope.tenant, *whose),
        )
        return int(rows[0][0])

    def mark_read(self, notice_id: str, party: str, *, person: str = "") -> None:
        """Record the receipt; the first one counts. Raises NotFound for a message of somebody else."""
        row: tuple[Any, ...] | None = self._uow.lock(notices, (self._scope.tenant, notice_id))
        if row is None or row[2] not in {party, person} - {""}:
            raise NotFound("notice/unknown", f"There is no notice {notice_id} in your inbox.")
        if not row[10]:
            self._uow.upsert(notices, (*row[:10], self._scope.now_us, self._scope.actor_id))

    def deliveries(self, notice_id: str) -> dict[str, str]:
        """The state of a notice's deliveries by address: queued, delivered or failed."""
        rows = self._uow.fetch(
            "SELECT address, state FROM notice_deliveries WHERE tenant = %s AND notice = %s ORDER BY address",
            (self._scope.tenant, notice_id),
        )
        return dict(rows)
