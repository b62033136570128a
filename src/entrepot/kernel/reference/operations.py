"""Operations on prices and calendars."""

import datetime as dt
from typing import Literal

from pydantic import Field

from entrepot.kernel.operations import Answer, Context, Invalid, Request
from entrepot.kernel.reference.calendars import YearNotice, holiday_name
from entrepot.kernel.reference.service import Series
from entrepot.kernel.reference.worktime import REGION

EARLIEST, LATEST = dt.date(1990, 1, 1), dt.date(2200, 12, 31)


class DayPrice(Answer):
    """A price of a day in minor units."""

    day: dt.date
    value: int


class PriceView(Answer):
    """A price: `value` minor units of `currency` per `unit`; `proxy` says for what it only stands in."""

    series: str
    title: str
    title_zh: str
    day: dt.date
    value: int
    currency: str
    unit: str
    proxy: str
    source: str
    stale_days: int


class Recorded(Answer):
    """How many prices were recorded."""

    series: str
    count: int


class GetPrice(Request[PriceView]):
    """The last price of a series on or before a day."""

    series: str = Field(min_length=1, max_length=64)
    day: dt.date | None = Field(None, description="Today by default")


@GetPrice.query("reference.price", http="GET /prices/{series}", scope="reference:read", title=("Price", "价格"),
                example={"series": "brent-cny-t"})  # fmt: skip
def get_price(ctx: Context, request: GetPrice) -> PriceView:
    """Stale prices are refused, not shown."""
    point = ctx.reference.price(request.series, request.day)
    series = ctx.reference.series(request.series)
    return PriceView(
        series=series.id,
        title=series.title,
        title_zh=series.title_zh,
        day=point.day,
        value=point.value,
        currency=series.currency,
        unit=series.unit,
        proxy=series.proxy,
        source=series.source,
        stale_days=point.stale_days,
    )


class PriceHistory(Answer):
    """Prices by day."""

    series: str
    prices: list[DayPrice]


class ListPrices(Request[PriceHistory]):
    """Prices of a series in a span of days, both included."""

    series: str = Field(min_length=1, max_length=64)
    since: dt.date
    until: dt.date


@ListPrices.query("reference.prices", http="GET /prices/{series}/history", scope="reference:read",
                  title=("Price history", "价格走势"),
                  example={"series": "brent-cny-t", "since": "2008-07-01", "until": "2008-12-31"})  # fmt: skip
def list_prices(ctx: Context, request: ListPrices) -> PriceHistory:
    """In order of day."""
    points = ctx.reference.history(request.series, request.since, request.until)
    return PriceHistory(series=request.series, prices=[DayPrice(day=day, value=value) for day, value in points])


class DefineSeries(Request[Recorded]):
    """Add or change a price series."""

    series: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{1,62}$")
    title: str = Field(min_length=1, max_length=120)
    title_zh: str = Field(min_length=1, max_length=120)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    unit: str = Field(pattern=r"^(t|kg|m3|bbl)$")
    proxy: str = Field("", max_length=300)
    source: str = Field(min_length=1, max_length=300)
    stale_days: int = Field(5, ge=1, le=60)
    jump_limit_bp: int = Field(2000, ge=100, le=10_000)


@DefineSeries.command("reference.define_series", http="POST /series", scope="reference:write",
                      title=("Define price series", "设置价格序列"), subject="series",
                      example={"series": "copper-sh", "title": "Copper cathode", "title_zh": "电解铜",
                               "currency": "CNY", "unit": "t", "source": "desk quotation"})  # fmt: skip
def define_series(ctx: Context, request: DefineSeries) -> Recorded:
    """Staleness and jump limits belong to the series."""
    ctx.reference.define_series(
        Series(
            request.series,
            request.title,
            request.title_zh,
            request.currency,
            request.unit,
            request.proxy,
            request.source,
            request.stale_days,
            request.jump_limit_bp,
        )
    )
    return Recorded(series=request.series, count=0)


class PriceOfDay(Answer):
    """A price to record."""

    day: dt.date
    value: int = Field(gt=0, le=10**12, description="Minor units of the currency per unit")


class SetPrices(Request[Recorded]):
    """Record daily prices; a jump beyond the series' limit needs a person's confirmation."""

    series: str = Field(min_length=1, max_length=64)
    prices: list[PriceOfDay] = Field(min_length=1, max_length=10_000)
    confirm_jump: bool = False
    note: str = Field("", max_length=300)


@SetPrices.command("reference.set_prices", http="POST /prices/{series}", scope="reference:write",
                   title=("Record prices", "录入价格"), subject="series",
                   example={"series": "brent-cny-t", "prices": [{"day": "2008-07-03", "value": 753471}]})  # fmt: skip
def set_prices(ctx: Context, request: SetPrices) -> Recorded:
    """Systems that lend against the goods subscribe to this event."""
    count = ctx.reference.set_prices(
        request.series,
        [(point.day, point.value) for point in request.prices],
        confirm_jump=request.confirm_jump,
        note=request.note,
    )
    return Recorded(series=request.series, count=count)


class DayView(Answer):
    """What a day is: worked, open at banks, open at exchanges; and the next bank day after it."""

    day: dt.date
    working_day: bool
    bank_day: bool
    exchange_day: bool
    holiday: str
    next_bank_day: dt.date
    four_working_hours_end: dt.datetime


class GetDay(Request[DayView]):
    """Whether a day is worked, and whether banks settle."""

    day: dt.date


@GetDay.query("reference.day", http="GET /days/{day}", scope="reference:read", title=("Calendar day", "日历"),
              example={"day": "2026-02-14"})  # fmt: skip
def get_day(ctx: Context, request: GetDay) -> DayView:
    """A year without a published notice is refused."""
    if not EARLIEST <= request.day <= LATEST:
        raise Invalid("calendar/unknown-year", f"The holidays of {request.day.year} are not known.")
    reference, midnight = ctx.reference, dt.datetime.combine(request.day, dt.time(0), REGION)
    return DayView(
        day=request.day,
        working_day=reference.calendar("legal").is_open(request.day),
        bank_day=reference.calendar("bank").is_open(request.day),
        exchange_day=reference.calendar("exchange").is_open(request.day),
        holiday=holiday_name(request.day),
        next_bank_day=reference.calendar("bank").following(request.day),
        four_working_hours_end=reference.working_deadline(midnight, hours=4),
    )


class NoticeImported(Answer):
    """That a calendar notice was imported."""

    id: str
    days_off: int


class ImportNotice(Request[NoticeImported]):
    """Import the yearly notice of holidays: weekdays that are off, weekend days that are worked instead."""

    year: int = Field(ge=1990, le=2200)
    calendar: Literal["legal", "bank", "exchange"] = "legal"
    days_off: list[dt.date] = Field(max_length=120)
    make_up: list[dt.date] = Field(default=[], max_length=40)
    source: str = Field(min_length=1, max_length=300, description="Number of the official notice")


@ImportNotice.command("reference.import_notice", http="POST /calendars/{calendar}/{year}", scope="reference:write",
                      title=("Import calendar notice", "导入节假日通知"), confirm=True,
                      example={"calendar": "legal", "year": 2027, "days_off": ["2027-01-01"], "make_up": [],
                               "source": "notice of the General Office of the State Council"})  # fmt: skip
def import_notice(ctx: Context, request: ImportNotice) -> NoticeImported:
    """It stands before the packaged notice from the next operation on; deadlines already set stay as they are."""
    notice = YearNotice(request.year, frozenset(request.days_off), frozenset(request.make_up), request.source)
    ctx.reference.import_notice(notice, request.calendar)
    return NoticeImported(id=f"{request.calendar}-{request.year}", days_off=len(notice.days_off))
