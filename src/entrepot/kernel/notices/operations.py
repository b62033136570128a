"""Operations on the own party's inbox."""

from datetime import datetime

from pydantic import Field

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import Answer, Context, Request


class NoticeView(Answer):
    """A message."""

    id: str
    kind: str
    subject: str
    title: str
    title_zh: str
    body: str
    body_zh: str
    sent_at: datetime
    read: bool


class Inbox(Answer):
    """Messages, the newest first, and how many are unread in all."""

    notices: list[NoticeView]
    unread: int


class ListNotices(Request[Inbox]):
    """Messages to you and to the party you act for."""

    unread_only: bool = False
    limit: int = Field(100, ge=1, le=500)


@ListNotices.query("notices.inbox", http="GET /inbox", scope="parties:self", title=("Inbox", "收件箱"))
def list_notices(ctx: Context, request: ListNotices) -> Inbox:
    """Of the own party and person only."""
    party, person = ctx.actor.party, ctx.actor.id
    found = ctx.notices.inbox(party, person=person, unread_only=request.unread_only, limit=request.limit)
    return Inbox(
        notices=[
            NoticeView(
                id=n.id,
                kind=n.kind,
                subject=n.subject,
                title=n.title,
                title_zh=n.title_zh,
                body=n.body,
                body_zh=n.body_zh,
                sent_at=from_us(n.sent_us),
                read=bool(n.read_us),
            )
            for n in found
        ],
        unread=ctx.notices.unread(party, person=person),
    )


class Receipt(Answer):
    """That it was read."""

    id: str


class MarkRead(Request[Receipt]):
    """Confirm that a message was read."""

    notice_id: str = Field(max_length=64)


@MarkRead.command(
    "notices.mark_read",
    http="POST /inbox/{notice_id}/receipt",
    scope="parties:self",
    title=("Mark as read", "标为已读"),
    subject="notice_id",
    example={"notice_id": "ntc_0"},
)
def mark_read(ctx: Context, request: MarkRead) -> Receipt:
    """The first receipt counts."""
    ctx.notices.mark_read(request.notice_id, ctx.actor.party, person=ctx.actor.id)
    return Receipt(id=request.notice_id)
