"""Calendars: natural, legal and bank days, and working time with China's holidays and make-up working days.

Holidays come from the yearly notices of the State Council as packaged by `chinesecalendar`; a year without a notice is
refused, never guessed.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import chinese_calendar

from entrepot.kernel.operations.errors import Invalid

REGION = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """The spans of a working day, in local time."""

    spans: tuple[tuple[time, time], ...] = ((time(9), time(12)), (time(13), time(18)))

    @property
    def day(self) -> timedelta:
        """How much working time a working day has."""
        day = date(2000, 1, 1)
        return sum((datetime.combine(day, e) - datetime.combine(day, b) for b, e in self.spans), timedelta())


OFFICE = WorkingHours()


@lru_cache(maxsize=20_000)
def is_working_day(day: date) -> bool:
    """Whether a day is worked, make-up days (调休) included. Raises Invalid for a year without a notice."""
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        raise Invalid(
            "calendar/unknown-year",
            f"The holidays of {day.year} have not been published in the calendar that is installed; import the notice.",
            year=day.year,
        ) from None


@lru_cache(maxsize=20_000)
def is_bank_day(day: date) -> bool:
    """Whether banks settle: a working day that is no make-up day at a weekend (interbank systems rest then)."""
    return is_working_day(day) and day.weekday() < 5


def holiday_name(day: date) -> str:
    """The English name of the day's public holiday, or ""."""
    is_working_day(day)
    _, name = chinese_calendar.get_holiday_detail(day)
    return str(name or "")


def next_bank_day(day: date, count: int = 1) -> date:
    """The `count`-th bank day after a day."""
    while count:
        day += timedelta(days=1)
        count -= is_bank_day(day)
    return day


def working_deadline(
    start: datetime, *, hours: float = 0, days: int = 0, calendar: WorkingHours = OFFICE, zone: ZoneInfo = REGION
) -> datetime:
    """The instant (UTC) when so many working hours, or working days of full hours, after `start` have passed.

    A deadline that ends with a working span ends with it, not at the beginning of the next. Raises Invalid for a year
    without a notice.

    >>> working_deadline(datetime(2026, 9, 30, 9, tzinfo=UTC), hours=2).isoformat()  # 17:00 before National Day
    '2026-10-08T02:00:00+00:00'
    """
    left = timedelta(hours=hours) + days * calendar.day
    local = start.astimezone(zone)
    day = local.date()
    while True:
        if is_working_day(day):
            for begin, end in calendar.spans:
                opens = max(datetime.combine(day, begin, zone), local)
                closes = datetime.combine(day, end, zone)
                if opens < closes:
                    if left <= closes - opens:
                        return (opens + left).astimezone(UTC)
                    left -= closes - opens
        day += timedelta(days=1)


def working_time_between(
    start: datetime, end: datetime, *, calendar: WorkingHours = OFFICE, zone: ZoneInfo = REGION
) -> timedelta:
    """The working time from `start` to `end`; zero when `end` is not later."""
    first, last = start.astimezone(zone), end.astimezone(zone)
    total, day = timedelta(), first.date()
    while day <= last.date():
        if is_working_day(day):
            for begin, close in calendar.spans:
                opens = max(datetime.combine(day, begin, zone), first)
                closes = min(datetime.combine(day, close, zone), last)
                total += max(closes - opens, timedelta())
        day += timedelta(days=1)
    return total
