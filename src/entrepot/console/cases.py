"""The inbox of cases with their deadlines, and the page of one case with its history and steps."""

import re
from functools import partial

from nicegui import ui

from entrepot.console.desk import Desk, Title
from entrepot.console.forms import Ask, ask_and_do
from entrepot.console.pages import page
from entrepot.console.widgets import (
    Column,
    Html,
    deadline,
    escape,
    facts,
    link,
    panel,
    raw,
    readable,
    short,
    table,
    tag,
    when,
)
from entrepot.kernel.casework.operations import ActOnCase, CaseDetail, CaseView, GetCase, ListCases, NoteOnCase
from entrepot.kernel.casework.operations import StepView as Step
from entrepot.kernel.casework.types import case_types

IN_TEXT = re.compile(r"\b[a-z]{3}_[a-z0-9]{3,}\b")
WORK = ("Work", "办理")
NONE_OPEN = (
    ("No open cases", "暂无未结办件"),
    (
        "Margin calls, alarms and differences between book and sensor appear here.",
        "补足通知、告警与账实不符会显示在这里。",
    ),
)
NONE_CLOSED = (("No closed cases", "暂无已结办件"), ("What was closed stays readable here.", "已结办件可在此查阅。"))
FIGURES = {
    "needed": ("Repay or cover", "需补足金额"),
    "ltv_bp": ("Loan-to-value", "质押率"),
    "book_kg": ("Book", "账面"),
    "sensed_kg": ("Sensed", "感知"),
}
PATHS = {"rcp_": "/receipts/", "fac_": "/facilities/", "cas_": "/cases/"}


def subject_link(subject: str) -> Html:
    """A link to the page of what a case, notice or event is about, where there is such a page."""
    path = next((path for prefix, path in PATHS.items() if subject.startswith(prefix)), "")
    return short(subject, path + subject if path else "") if subject else Html("—")


def linked(text: str, desk: Desk | None = None) -> Html:
    """A sentence in which every id leads to its page and, with a desk, every organisation has its name."""
    parts, end = [], 0
    for found in IN_TEXT.finditer(text):
        word = found[0]
        name = desk.names.get(word) if desk is not None else None
        parts += [escape(text[end : found.start()]), escape(name) if name else subject_link(word)]
        end = found.end()
    return Html("".join([*parts, escape(text[end:])]))


def case_columns(desk: Desk) -> list[Column]:
    """How cases are listed."""
    return [
        Column(("Case", "办件"), lambda c: link(desk.t(case_title(c)), f"/cases/{c.id}")),
        Column(("State", "状态"), lambda c: _state(desk, c)),
        Column(("Lies with", "承办方"), lambda c: desk.party(c.party)),
        Column(("About", "对象"), lambda c: subject_link(c.subject)),
        Column(("Deadline", "时限"), lambda c: Html("—") if c.closed else deadline(desk, c.due_at, desk.now_us)),
        Column(("Opened", "立案时间"), lambda c: when(c.opened_at)[:16]),
    ]


def case_title(case: CaseView) -> Title:
    """The title without the id of what the case is about, which stands beside it."""
    english = case.title.replace(case.subject, "").strip(" :") if case.subject else case.title
    chinese = case.title_zh.replace(case.subject, "").strip(" ：") if case.subject else case.title_zh
    return english or case.title, chinese or case.title_zh


def _state(desk: Desk, case: CaseView) -> Html:
    known = {kind.name: kind for kind in case_types()}.get(case.type)
    title = known.states.get(case.state, (case.state, case.state)) if known else (case.state, case.state)
    return tag(desk.t(title), "" if case.closed else "bad" if case.overdue else "warn")


@page("/cases", ("Cases", "办件"), icon="assignment_late", scope="casework:read", group=WORK, order=40)
async def cases_page(desk: Desk) -> None:
    """Open ones first, the closed ones beneath."""

    async def fetch() -> tuple[list[CaseView], list[CaseView], int]:
        found = (await desk.ask(ListCases(include_closed=True, limit=500))).cases
        # The countdown is drawn anew each minute.
        return [c for c in found if not c.closed], [c for c in found if c.closed], desk.now_us // 60_000_000

    def draw(found: tuple[list[CaseView], list[CaseView], int]) -> None:
        still_open = sorted(found[0], key=lambda c: (c.due_at is None, c.due_at, c.id))
        with panel(desk, ("Open", "未结")):
            table(desk, case_columns(desk), still_open, NONE_OPEN)
        with panel(desk, ("Closed", "已结")):
            table(desk, case_columns(desk), found[1], NONE_CLOSED)

    await desk.part(fetch, draw, every_s=20)


@page("/cases/{id}", ("Case", "办件"), scope="casework:read")
async def case_page(desk: Desk, id: str) -> None:
    """One case."""

    async def fetch() -> tuple[CaseDetail, int]:
        return await desk.ask(GetCase(case_id=id)), desk.now_us // 60_000_000

    await desk.part(fetch, lambda found: _case(desk, found[0]), every_s=20)


def _case(desk: Desk, detail: CaseDetail) -> None:
    case = detail.case
    with panel(desk, case_title(case), padded=True):
        state = desk.t((detail.state_title, detail.state_title_zh))
        rows: list[tuple[tuple[str, str] | str, object]] = [
            (("State", "状态"), tag(state, "" if case.closed else "warn")),
            (("Lies with", "承办方"), desk.party(case.party)),
            (("About", "对象"), subject_link(case.subject)),
            (("Opened", "立案时间"), when(case.opened_at)),
        ]
        if not case.closed:
            rows.append((("Deadline", "时限"), deadline(desk, case.due_at, desk.now_us)))
        if case.assignee:
            rows.append((("Assigned to", "经办人"), short(case.assignee)))
        rows += [(FIGURES.get(name, name.replace("_", " ")), _figure(name, value)) for name, value in case.data.items()]
        facts(desk, [*rows, (("Number", "编号"), short(case.id))])
        if desk.may("casework:act"):
            _steps(desk, case, detail.steps)
    with panel(desk, ("History", "办理记录"), padded=True):
        opened = desk.t(("opened", "立案"))
        lines = f"<li><time>{when(case.opened_at)}</time><b>{opened}</b></li>" + "".join(
            f"<li><time>{when(entry.at)}</time><b>{escape(entry.action)}</b>{tag(entry.state)}"
            f'<span class="grow">{escape(readable(entry.note))}</span>'
            f'<span class="id muted">{escape(entry.actor)}</span></li>'
            for entry in detail.history
        )
        raw(f'<ol class="steps">{lines}</ol>')


def _steps(desk: Desk, case: CaseView, steps: list[Step]) -> None:
    def take(step: Step) -> None:
        ask_and_do(
            desk,
            (step.title, step.title_zh),
            [Ask("note", ("Note", "说明"), "note")],
            lambda values: ActOnCase(case_id=case.id, action=step.action, note=values["note"]),
        )

    def remark() -> None:
        ask_and_do(
            desk,
            ("Add note", "添加备注"),
            [Ask("note", ("Note", "说明"), "note")],
            lambda values: NoteOnCase(case_id=case.id, note=values["note"]),
        )

    with ui.element("div").classes("actions").style("margin-top:14px"):
        for step in steps:
            ui.button(desk.t((step.title, step.title_zh)), on_click=partial(take, step)).props(
                "no-caps outline color=primary"
            )
        ui.button(desk.t(("Add note", "添加备注")), on_click=remark).props("no-caps flat color=primary")


def _figure(name: str, value: object) -> str:
    if isinstance(value, int) and name.endswith("_bp"):
        return f"{value / 100:.2f} %"
    if isinstance(value, int) and name.endswith("_kg"):
        return f"{value / 1000:,.3f} t"
    if isinstance(value, int) and name in {"needed", "debt", "value"}:
        return f"¥{value / 100:,.2f}"
    return str(value)
