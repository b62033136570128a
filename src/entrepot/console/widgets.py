"""Shared widgets: panels, dense tables, figures, tags, charts, the tank, and a form made from any request type."""

import html
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args
from zoneinfo import ZoneInfo

from nicegui import ui
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from entrepot.console.desk import Desk, Title
from entrepot.console.theme import AMBER, GREEN, RED, TEAL
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.doors.rest import validation_refusal
from entrepot.kernel.operations import Operation

LOCAL_ZONE = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: title, and the cell of a row as text (escaped), `Html`, or a number."""

    title: Title
    cell: Callable[[Any], Any]
    kind: str = ""  # "", "num" or "id"


class Html(str):
    """Text that is HTML already, made by these widgets from escaped parts."""

    __slots__ = ()


def escape(value: object) -> str:
    """Text safe inside HTML."""
    return value if isinstance(value, Html) else html.escape(str(value))


def raw(markup: str) -> ui.html:
    """An element from markup that this module composed and escaped."""
    return ui.html(markup, sanitize=False)


def tag(text: str, tone: str = "") -> Html:
    """A small label; `tone` is "", ok, warn, bad or info."""
    return Html(f'<span class="tag {tone}">{html.escape(text)}</span>')


def link(text: str, path: str) -> Html:
    """A link to another page."""
    return Html(f'<a href="{html.escape(path, quote=True)}">{html.escape(text)}</a>')


def when(moment: datetime | int | None) -> str:
    """Local time of the region, to the second; microseconds since the epoch are taken too."""
    if moment is None:
        return "—"
    instant = from_us(moment) if isinstance(moment, int) else moment
    return instant.astimezone(LOCAL_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def money(minor: int, scale: int = 2, currency: str = "¥") -> str:
    """An amount in minor units with thousands separators.

    >>> money(-123456)
    '-¥1,234.56'
    """
    whole, part = divmod(abs(minor), 10**scale)
    fraction = f".{part:0{scale}d}" if scale else ""
    return f"{'-' if minor < 0 else ''}{currency}{whole:,}{fraction}"


def tonnes(kilograms: int) -> str:
    """Kilograms as tonnes with three places."""
    whole, part = divmod(abs(kilograms), 1000)
    return f"{'-' if kilograms < 0 else ''}{whole:,}.{part:03d} t"


def percent(basis_points: int | None) -> str:
    """Basis points as a percentage with two places."""
    return "—" if basis_points is None else f"{basis_points / 100:.2f}%"


def table(desk: Desk, columns: Sequence[Column], rows: Iterable[Any], empty: tuple[Title, Title]) -> None:
    """A dense table; without rows it says what would stand here (`empty` is a heading and a hint)."""
    listed = list(rows)
    if not listed:
        raw(f'<div class="empty"><b>{escape(desk.t(empty[0]))}</b>{escape(desk.t(empty[1]))}</div>')
        return
    head = "".join(f'<th class="{c.kind}" scope="col">{escape(desk.t(c.title))}</th>' for c in columns)
    body = "".join(
        "<tr>" + "".join(f'<td class="{c.kind}">{escape(c.cell(row))}</td>' for c in columns) + "</tr>"
        for row in listed
    )
    raw(f'<table class="t"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>').classes("scroll")


def stats(desk: Desk, figures: Sequence[tuple[Title, str, Title | str]]) -> None:
    """A row of figures: what, value, note."""
    cells = "".join(
        f'<div class="card stat"><div class="k">{escape(desk.t(k))}</div><div class="v">{escape(v)}</div>'
        f'<div class="n">{escape(desk.t(n))}</div></div>'
        for k, v, n in figures
    )
    raw(f'<div class="cards">{cells}</div>')


@contextmanager
def panel(desk: Desk, title: Title, *, padded: bool = False) -> Iterator[ui.element]:
    """A titled panel; the yielded element is its header, for buttons."""
    with ui.element("section").classes("panel"):
        with ui.element("header") as header:
            raw(f"<h2>{escape(desk.t(title))}</h2>").classes("grow")
        with ui.element("div").classes("body" if padded else ""):
            yield header


def note(desk: Desk, text: Title | str, tone: str = "") -> None:
    """A remark beside the matter: plain, warn or bad."""
    raw(f'<div class="note {tone}">{escape(desk.t(text))}</div>')


def tank(filled: float, water: float, label: str, sub: str, tone: str = "ok") -> None:
    """A vertical tank drawn from its level: `filled` and `water` are shares of its height, 0 to 1."""
    filled, water = min(max(filled, 0.0), 1.0), min(max(water, 0.0), 1.0)
    colour = {"ok": TEAL, "warn": AMBER, "bad": RED}.get(tone, TEAL)
    top, height = 40 + 170 * (1 - filled), 170 * filled
    raw(
        f'<svg viewBox="0 0 220 250" width="100%" style="max-height:280px" role="img" aria-label="{escape(label)}">'
        '<defs><clipPath id="body"><path d="M30 48 Q110 18 190 48 V206 Q110 222 30 206 Z"/></clipPath></defs>'
        f'<g clip-path="url(#body)"><rect x="30" y="18" width="160" height="210" fill="#eef2f5"/>'
        f'<rect x="30" y="{top:.1f}" width="160" height="{height + 20:.1f}" fill="{colour}" opacity=".82"/>'
        f'<rect x="30" y="{210 - 170 * water:.1f}" width="160" height="{170 * water + 20:.1f}" fill="#3b82f6" opacity=".7"/></g>'
        '<path d="M30 48 Q110 18 190 48 V206 Q110 222 30 206 Z" fill="none" stroke="#7b8b97" stroke-width="2.5"/>'
        + "".join(
            f'<line x1="184" x2="190" y1="{210 - 17 * i}" y2="{210 - 17 * i}" stroke="#7b8b97"/>' for i in range(1, 10)
        )
        + f'<text x="110" y="{min(max(top + 26, 70), 190):.0f}" text-anchor="middle" font-size="20" font-weight="650" '
        f'fill="{"#fff" if height > 34 else "#14212b"}">{escape(label)}</text>'
        f'<text x="110" y="244" text-anchor="middle" font-size="12" fill="#5b6b78">{escape(sub)}</text></svg>'
    )


def line_chart(
    desk: Desk,
    series: Sequence[tuple[Title, Sequence[tuple[str, float]]]],
    *,
    lines: Sequence[tuple[Title, float, str]] = (),
    unit: str = "",
    height_px: int = 260,
) -> ui.echart:
    """Time series as lines; `lines` are horizontal marks such as warning, top-up and disposal."""
    marks = [
        {"yAxis": v, "lineStyle": {"color": c, "type": "dashed"}, "label": {"formatter": desk.t(n), "color": c}}
        for n, v, c in lines
    ]
    colours = [TEAL, "#1d4ed8", AMBER, GREEN, RED]
    options = {
        "animation": False,
        "color": colours,
        "grid": {"left": 56, "right": 92, "top": 26, "bottom": 28},
        "tooltip": {"trigger": "axis"},
        "legend": {"top": 0, "right": 8, "itemHeight": 8, "show": len(series) > 1},
        "xAxis": {"type": "time", "axisLabel": {"hideOverlap": True}},
        "yAxis": {"type": "value", "scale": True, "axisLabel": {"formatter": f"{{value}}{unit}"}},
        "series": [
            {
                "name": desk.t(name),
                "type": "line",
                "showSymbol": False,
                "lineStyle": {"width": 2},
                "data": [list(point) for point in points],
                **({"markLine": {"symbol": "none", "data": marks}} if index == 0 and marks else {}),
            }
            for index, (name, points) in enumerate(series)
        ],
    }
    return ui.echart(options).style(f"height:{height_px}px;width:100%")


def operation_button(
    desk: Desk, operation: Operation, prefill: dict[str, Any] | None = None, *, primary: bool = False,
    done: Callable[[Any], Awaitable[None]] | None = None,
) -> None:  # fmt: skip
    """A button that opens the operation's form; nothing for those who may not run it."""
    if not desk.may(operation.scope):
        return
    ui.button(desk.t(operation.title), on_click=lambda: operation_dialog(desk, operation, prefill or {}, done)).props(
        "unelevated color=primary" if primary else "outline color=primary"
    )


def operation_dialog(
    desk: Desk, operation: Operation, prefill: dict[str, Any], done: Callable[[Any], Awaitable[None]] | None = None
) -> None:
    """The form of an operation: every field with its description, checked on sending, refusals shown in place."""
    fields: dict[str, Any] = {}
    with ui.dialog() as dialog, ui.element("div").classes("card"):
        raw(f"<h2 style='font-size:16px'>{escape(desk.t(operation.title))}</h2>")
        raw(f'<div class="muted">{escape(operation.summary)}</div>')
        for name, info in operation.request.model_fields.items():
            fields[name] = _input(desk, name, info, prefill.get(name))
        problem = ui.element("div")

        async def send() -> None:
            problem.clear()
            values = {name: field.value for name, field in fields.items() if field.value not in (None, "")}
            try:
                request = operation.request.model_validate_strings({n: _text(v) for n, v in values.items()})
            except ValidationError as error:
                with problem:
                    note(desk, validation_refusal(error).detail, "bad")
                return
            if operation.kind == "query":
                answer = await desk.ask(request)
            else:
                answer = await desk.do(request, (f"{operation.title[0]}: done", f"{operation.title[1]}：完成"))
            if answer is not None:
                dialog.close()
                if done is not None:
                    await done(answer)

        with ui.element("div").classes("row").style("justify-content:flex-end;margin-top:6px"):
            ui.button(desk.t(("Cancel", "取消")), on_click=dialog.close).props("flat color=grey-8")
            ui.button(desk.t(("Confirm", "确认") if operation.confirm else ("Send", "提交")), on_click=send).props(
                "unelevated color=primary"
            )
    dialog.open()


def _input(desk: Desk, name: str, info: FieldInfo, value: Any) -> Any:
    label = name.replace("_", " ").capitalize() + (" *" if info.is_required() else "")
    initial = value if value is not None else ("" if info.is_required() else info.get_default())
    choices = [option for option in get_args(info.annotation) if isinstance(option, str)]
    if choices:
        field: Any = ui.select(choices, label=label, value=initial if initial in choices else choices[0])
    elif info.annotation is bool:
        field = ui.checkbox(label, value=bool(initial))
        return field
    else:
        field = ui.input(label=label, value="" if initial is None else str(initial))
    field.props("outlined dense hide-bottom-space" if not info.description else "outlined dense")
    if info.description:
        field.props(f'hint="{html.escape(info.description, quote=True)}"')
    return field.classes("w-full").style("width:100%")


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else str(value)
