"""Shared widgets: panels, dense tables, figures, tags, charts and the tank."""

import html
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from nicegui import ui

from entrepot.console.desk import Desk, Title
from entrepot.console.theme import AMBER, GREEN, RED, TEAL
from entrepot.kernel.database.schema import from_us, to_us

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


def plotted(moment: datetime) -> str:
    """A time for a chart, which writes it as it stands: the region's clock, not the browser's."""
    return moment.astimezone(LOCAL_ZONE).replace(tzinfo=None).isoformat()


def money(minor: int, scale: int = 2, currency: str = "¥") -> str:
    """An amount in minor units with thousands separators.

    >>> money(-123456)
    '-¥1,234.56'
    """
    whole, part = divmod(abs(minor), 10**scale)
    fraction = f".{part:0{scale}d}" if scale else ""
    return f"{'-' if minor < 0 else ''}{currency}{whole:,}{fraction}"


def readable(text: str) -> str:
    """A sentence for programs made easier to read: fen as yuan, long kilograms as tonnes.

    >>> readable("room for 123456 fen, 8000000 kg")
    'room for ¥1,234.56, 8,000.000 t'
    """
    text = re.sub(r"(-?\d+) (?:fen\b|分)", lambda found: money(int(found[1])), text)
    return re.sub(r"\b(\d{4,}) kg\b", lambda found: tonnes(int(found[1])), text)


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
        f'<rect x="30" y="{210 - 170 * water:.1f}" width="160" height="{170 * water + 20:.1f}" fill="#3b82f6" '
        'opacity=".7"/></g>'
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
        {
            "yAxis": v,
            "lineStyle": {"color": c, "type": "dashed"},
            "label": {
                "formatter": f"{desk.t(n)} {v:g}{unit}",
                "color": c,
                "position": "insideEndTop" if place else "insideEndBottom",
            },
        }
        for place, (n, v, c) in enumerate(lines)
    ]
    colours = [TEAL, "#1d4ed8", AMBER, GREEN, RED]
    options = {
        "animation": False,
        "textStyle": {"fontFamily": "Noto Sans, Noto Sans CJK SC, PingFang SC, Microsoft YaHei, sans-serif"},
        "color": colours,
        "grid": {"left": 56, "right": 20, "top": 26, "bottom": 28},
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


def short(identifier: str, path: str = "") -> Html:
    """An id, shortened to what tells it apart, that is copied whole with a click; with a path it is a link as well."""
    prefix, _, rest = identifier.partition("_")
    shown = identifier if len(identifier) <= 14 else f"{prefix}_…{rest[-6:]}" if rest else f"…{identifier[-8:]}"
    whole = html.escape(identifier, quote=True)
    if path:
        return Html(f'<a class="id" href="{html.escape(path, quote=True)}" title="{whole}">{html.escape(shown)}</a>')
    return Html(f'<span class="id" data-copy="{whole}" title="{whole}">{html.escape(shown)}</span>')


def facts(desk: Desk, rows: Iterable[tuple[Title | str, object]]) -> None:
    """A list of names and values."""
    cells = "".join(f"<dt>{escape(desk.t(name))}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    raw(f'<dl class="facts">{cells}</dl>')


def amount(minor: int, asset: str, scale: int) -> str:
    """An amount of an asset of the ledger: yuan, tonnes of goods, or plain units with the asset's decimals.

    >>> amount(1_234_500, "crude_oil.tk-101", 0)
    '1,234.500 t'
    """
    if asset == "CNY" or asset.startswith("claim."):
        return money(minor, scale)
    if "." in asset and scale == 0:
        return tonnes(minor)
    return money(minor, scale, "")


def age(desk: Desk, moment: datetime | None, now_us: int) -> str:
    """How long ago, or how long until, in the largest fitting unit."""
    if moment is None:
        return "—"
    seconds = (now_us - to_us(moment)) // 1_000_000
    past, seconds = seconds >= 0, abs(seconds)
    for size, english, chinese in ((86_400, "d", " 天"), (3_600, "h", " 小时"), (60, "min", " 分钟"), (1, "s", " 秒")):
        if seconds >= size or size == 1:
            rest = (seconds % size) * 10 // size if size > 60 and seconds < 10 * size else 0
            figure = f"{seconds // size}" + (f".{rest}" if rest else "")
            text = desk.t((f"{figure} {english}", f"{figure}{chinese}"))
            return desk.t((f"{text} ago", f"{text}前")) if past else desk.t((f"in {text}", f"{text}后"))
    return "—"


def deadline(desk: Desk, due: datetime | None, now_us: int) -> Html:
    """A deadline with what is left of it: red when passed, amber in its last six hours."""
    if due is None:
        return Html("—")
    left = (to_us(due) - now_us) // 1_000_000
    tone = "bad" if left < 0 else "warn" if left < 6 * 3_600 else "info"
    return Html(f"{when(due)[:16]} {tag(age(desk, due, now_us), tone)}")
