"""The overview: open cases, notices and, for supervisors, the latest events; each system adds its tiles below."""

from entrepot.console.cases import case_columns
from entrepot.console.desk import Desk
from entrepot.console.eventlog import event_columns
from entrepot.console.pages import page
from entrepot.console.widgets import panel, stats, table
from entrepot.kernel.casework.operations import CaseView, ListCases
from entrepot.kernel.events.operations import EventView, LatestEvents
from entrepot.kernel.notices.operations import ListNotices

NO_CASES = (("Nothing waits", "暂无待办"), ("Cases with a deadline appear here.", "有时限的办件会显示在这里。"))
NO_EVENTS = (("No events yet", "暂无事件"), ("Every command leaves one.", "每个操作都会留下事件。"))


@page("/", ("Overview", "总览"), icon="dashboard", order=0)
async def overview(desk: Desk) -> None:
    """What this party must see now."""

    async def fetch() -> tuple[list[CaseView], int, list[EventView]]:
        cases = await desk.try_ask(ListCases(limit=50))
        inbox = await desk.try_ask(ListNotices(unread_only=True, limit=1))
        latest = await desk.try_ask(LatestEvents(limit=8))
        return cases.cases if cases else [], inbox.unread if inbox else 0, latest.events if latest else []

    def draw(found: tuple[list[CaseView], int, list[EventView]]) -> None:
        cases, unread, latest = found
        overdue = sum(case.overdue for case in cases)
        stats(
            desk,
            [
                (("Open cases", "未结办件"), str(len(cases)), ("of your party", "本机构")),
                (("Past deadline", "超期办件"), str(overdue), ("act on these first", "请优先处理")),
                (("Unread notices", "未读通知"), str(unread), ("in your inbox", "收件箱")),
            ],
        )
        if desk.may("casework:read"):
            with panel(desk, ("Open cases", "未结办件")):
                table(desk, case_columns(desk), cases[:8], NO_CASES)
        if desk.may("events:read"):
            with panel(desk, ("Latest events", "最新事件")):
                table(desk, event_columns(desk), latest, NO_EVENTS)

    await desk.part(fetch, draw)
