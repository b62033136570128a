"""The inbox of notices; reading one is confirmed with a receipt. Above it, where else notices go."""

from nicegui import ui

from entrepot.console.addresses import addresses_panel
from entrepot.console.cases import WORK, linked, subject_link
from entrepot.console.desk import Desk
from entrepot.console.pages import page
from entrepot.console.widgets import escape, panel, raw, readable, tag, when
from entrepot.kernel.notices.operations import Inbox, ListNotices, MarkRead, NoticeView


@page("/inbox", ("Inbox", "收件箱"), icon="mail", group=WORK, order=42)
async def inbox_page(desk: Desk) -> None:
    """Newest first."""

    async def fetch() -> Inbox:
        return await desk.ask(ListNotices(limit=200))

    await addresses_panel(desk)
    await desk.part(fetch, lambda inbox: _draw(desk, inbox))


def _draw(desk: Desk, inbox: Inbox) -> None:
    with panel(desk, (f"Notices, {inbox.unread} unread", f"通知（{inbox.unread} 条未读）")):
        if not inbox.notices:
            nothing = desk.t(("No notices", "暂无通知"))
            hint = desk.t(("Margin calls, requests and alarms are sent here.", "补足通知、申请与告警会发送到这里。"))
            raw(f'<div class="empty"><b>{nothing}</b>{hint}</div>')
        for notice in inbox.notices:
            _notice(desk, notice)


def _notice(desk: Desk, notice: NoticeView) -> None:
    async def confirm() -> None:
        await desk.do(MarkRead(notice_id=notice.id), ("Receipt given.", "已回执。"))

    with ui.element("article").classes("notice" + ("" if notice.read else " unread")):
        state = tag(desk.t(("read", "已读")), "ok") if notice.read else tag(desk.t(("unread", "未读")), "info")
        raw(
            f"<h3>{escape(desk.t((notice.title, notice.title_zh)))} {state}</h3>"
            f"<p>{linked(readable(desk.t((notice.body, notice.body_zh))), desk)}</p>"
            f'<div class="muted">{when(notice.sent_at)} · {subject_link(notice.subject)}</div>'
        ).classes("grow")
        if not notice.read:
            ui.button(desk.t(("Confirm reading", "确认已读")), on_click=confirm).props(
                "no-caps outline dense color=primary data-mark=receipt"
            )
