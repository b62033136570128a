"""The sealed event log: position, what, about what, by whom, whether it was refused, and its hash."""

import html
from typing import Any

import orjson
from nicegui import ui

from entrepot.console.cases import subject_link
from entrepot.console.desk import Desk
from entrepot.console.pages import page
from entrepot.console.widgets import Column, Html, escape, facts, panel, raw, table, tag, when
from entrepot.kernel.events.operations import EventsAbout, EventView, LatestEvents

EVIDENCE = ("Evidence", "存证")
NO_EVENTS = (
    ("No events", "暂无事件"),
    ("Every command leaves one, a refused one too.", "每个操作都会留下事件，被拒绝的也一样。"),
)
PAGE = 60


def status_tag(desk: Desk, status: int) -> Html:
    """Done, or refused with the reason's number."""
    if status == 200:
        return tag(desk.t(("done", "已执行")), "ok")
    return tag(desk.t((f"refused {status}", f"已拒绝 {status}")), "bad")


def event_columns(desk: Desk) -> list[Column]:
    """How events are listed."""
    pending = desk.t(("sealing", "封存中"))
    return [
        Column(("Position", "序号"), lambda e: f"{e.position:,}" if e.position is not None else pending, "num"),
        Column(("Time", "时间"), lambda e: when(e.at)),
        Column(("Event", "事件"), lambda e: _title(desk, e)),
        Column(("", ""), lambda e: status_tag(desk, e.status)),
        Column(("About", "对象"), lambda e: subject_link(e.subject)),
        Column(
            ("By", "操作人"),
            lambda e: f"{e.actor}" if e.party in ("", e.actor) else f"{e.actor}, {desk.party(e.party)}",
        ),
        Column(("Hash", "哈希"), lambda e: _hash(e.hash)),
    ]


@page("/events", ("Events", "事件"), icon="verified", scope="events:read", group=EVIDENCE, order=61)
async def events_page(desk: Desk) -> None:
    """Newest first, with the content of one on demand."""
    before: list[int] = [2**60]
    pick: dict[str, EventView] = {}

    async def fetch() -> list[EventView]:
        return (await desk.ask(LatestEvents(limit=PAGE, before=before[0]))).events

    def draw(found: list[EventView]) -> None:
        pick.clear()
        pick.update({event.id: event for event in found})
        with panel(desk, ("Sealed log, newest first", "封存日志（新在前）")) as header:
            with header, ui.element("div").classes("row"):
                ui.button(desk.t(("Newest", "最新")), on_click=lambda: turn(2**60)).props("no-caps flat dense")
                ui.button(desk.t(("Older", "更早")), on_click=older).props("no-caps flat dense")
            table(desk, event_columns(desk), found, NO_EVENTS)

    async def turn(position: int) -> None:
        before[0] = position
        await refresh()

    async def older() -> None:
        positions = [event.position for event in pick.values() if event.position is not None]
        if len(positions) == PAGE:
            await turn(min(positions))

    refresh = await desk.part(fetch, draw)


@page("/events/{id}", ("Event", "事件"), scope="events:read")
async def event_page(desk: Desk, id: str) -> None:
    """One event of the latest five hundred, with its content."""
    found = next((e for e in (await desk.ask(LatestEvents(limit=500))).events if e.id == id), None)
    if found is None:
        raw(f'<div class="empty"><b>{desk.t(("Not among the latest events", "不在最新事件中"))}</b></div>')
        return
    with panel(desk, ("Event", "事件"), padded=True):
        facts(
            desk,
            [
                (("Position", "序号"), str(found.position)),
                (("Time", "时间"), when(found.at)),
                (("Event", "事件"), found.type),
                (("Result", "结果"), status_tag(desk, found.status)),
                (("About", "对象"), subject_link(found.subject)),
                (("By", "操作人"), f"{found.actor}, {desk.party(found.party)}"),
                (("Door", "入口"), found.door),
                (("Hash", "哈希"), found.hash),
            ],
        )
    with panel(desk, ("Content", "内容"), padded=True):
        json_block(found.data)


async def history_of(desk: Desk, subject: str) -> None:
    """The events about an object, for its own page; offered to those with a relation to it only."""

    async def fetch() -> list[EventView]:
        return (await desk.ask(EventsAbout(subject=subject, limit=500))).events[::-1]

    def draw(found: list[EventView]) -> None:
        with panel(desk, ("History", "历史")):
            table(desk, event_columns(desk), found, NO_EVENTS)

    await desk.part(fetch, draw)


def json_block(value: Any) -> None:
    """A value as indented JSON."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    raw(f'<pre class="json" tabindex="0">{html.escape(text)}</pre>')


def _title(desk: Desk, event: EventView) -> Html:
    known = {operation.name: operation.title for operation in desk.executor.runtime.registry}
    name = desk.t(known.get(event.type, (event.type, event.type)))
    if not desk.may("events:read"):
        return Html(escape(name))
    return Html(f'<a href="/events/{escape(event.id)}" title="{escape(event.type)}">{escape(name)}</a>')


def _hash(digest: str) -> Html:
    return Html(f'<span class="id" data-copy="{digest}" title="{digest}">{digest[:10]}</span>')
