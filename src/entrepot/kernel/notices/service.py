"""Sending and reading notices."""

from dataclasses import dataclass
from typing import Any

from entrepot.kernel.database import Scope
from entrepot.kernel.notices.tables import notices
from entrepot.kernel.operations.errors import NotFound

Title = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Notice:
    """A message; `read_us` is 0 until somebody of the party has read it."""

    id: str
    party: str
    kind: str
    subject: str
    title: str
    title_zh: str
    body: str
    body_zh: str
    sent_us: int
    read_us: int
    read_by: str


class Notices:
    """The tenant's notices."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._uow = scope.uow

    def send(self, party: str, kind: str, title: Title, body: Title, subject: str = "") -> str:
        """Put a message into a party's inbox, with this operation; its id."""
        identifier = self._scope.new_id("ntc")
        self._uow.insert(
            notices,
            (self._scope.tenant, identifier, party, kind, subject, *title, *body, self._scope.now_us, 0, ""),
        )
        return identifier

    def inbox(self, party: str, *, unread_only: bool = False, limit: int = 100) -> list[Notice]:
        """A party's messages, the newest first."""
        condition = " AND read_at = 0" if unread_only else ""
        columns = ", ".join(column.name for column in notices.columns)
        rows = self._uow.fetch(
            f"SELECT {columns} FROM notices WHERE tenant = %s AND party = %s{condition} ORDER BY id DESC LIMIT %s",
            (self._scope.tenant, party, limit),
        )
        return [Notice(*row[1:]) for row in rows]

    def mark_read(self, notice_id: str, party: str) -> None:
        """Record the receipt. Raises NotFound for a message of somebody else."""
        row: tuple[Any, ...] | None = self._uow.lock(notices, (self._scope.tenant, notice_id))
        if row is None or row[2] != party:
            raise NotFound("notice/unknown", f"There is no notice {notice_id} in your inbox.")
        if not row[10]:
            self._uow.upsert(notices, (*row[:10], self._scope.now_us, self._scope.actor_id))
