"""Calendars: natural, legal, bank and exchange days apart. An unknown year is refused, never guessed.

China's legal days come from the yearly notices of the State Council as packaged by `chinesecalendar` (2004 on); a
notice that an operator imports stands before the packaged one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache, lru_cache
from typing import Literal

import chinese_calendar

from entrepot.kernel.operations.errors import Invalid

CalendarKind = Literal["natural", "legal", "bank", "exchange"]
KINDS: tuple[CalendarKind, ...] = ("natural", "legal", "bank", "exchange")
LONGEST_SEARCH_DAYS = 3_660


@dataclass(frozen=True, slots=True)
class YearNotice:
    """What a yearly notice says: the weekdays that are off, and the weekend days that are worked instead (调休)."""

    year: int
    days_off: frozenset[date]
    make_up: frozenset[date]
    source: str = ""

    def __post_init__(self) -> None:
        for day in sorted(self.days_off | self.make_up):
            if day.year != self.year:
                raise Invalid("calendar/notice", f"{day} does not lie in {self.year}.", day=day.isoformat())
            if (day.weekday() < 5) != (day in self.days_off) or day in self.days_off & self.make_up:
                raise Invalid(
                    "calendar/notice", f"{day}: days off are weekdays, make-up days are at weekends.",
                    day=day.isoformat(),
                )  # fmt: skip


@cache
def packaged_notice(year: int) -> YearNotice | None:
    """The State Council's notice for a year, or None where the package has none yet."""
    days = [date(year, 1, 1) + timedelta(days=n) for n in range((date(year, 12, 31) - date(year, 1, 1)).days + 1)]
    try:
        worked = {day for day in days if chinese_calendar.is_workday(day)}
    except NotImplementedError:
        return None
    weekdays = {day for day in days if day.weekday() < 5}
    return YearNotice(year, frozenset(weekdays - worked), frozenset(worked - weekdays), "chinesecalendar")


@dataclass(frozen=True)
class Calendar:
    """Which days are open.

    natural: every day; legal: worked, make-up days included; bank: as legal, for the interbank market and the
    large-value payment system keep make-up days; exchange: legal days that are no weekend, for exchanges rest then.
    """

    kind: CalendarKind
    imported: tuple[YearNotice, ...] = ()
    _notices: dict[int, YearNotice] = field(default_factory=dict, init=False, repr=False, compare=False)
    _hash: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.kind, self.imported)))  # asked for at every deadline
        self._notices.update({notice.year: notice for notice in self.imported})

    def __hash__(self) -> int:
        return self._hash

    def notice(self, year: int) -> YearNotice:
        """The notice that rules a year. Raises Invalid where none is known."""
        known = self._notices.get(year) or packaged_notice(year)
        if known is None:
            raise Invalid(
                "calendar/unknown-year",
                f"The holidays of {year} are not known: the notice is not published, or not imported yet.",
                year=year,
            )
        self._notices[year] = known
        return known

    def is_open(self, day: date) -> bool:
        """Whether the day is open. Raises Invalid for a year without a notice."""
        if self.kind == "natural":
            return True
        notice = self.notice(day.year)
        if day.weekday() >= 5:
            return self.kind != "exchange" and day in notice.make_up
        return day not in notice.days_off

    def following(self, day: date, count: int = 1) -> date:
        """The `count`-th open day after a day (T+count). Raises Invalid for a year without a notice."""
        assert count >= 0, "days run forward"
        while count:
            day += timedelta(days=1)
            count -= self.is_open(day)
        return day

    def on_or_after(self, day: date) -> date:
        """The day itself if it is open, else the next open one ("following" business day convention)."""
        return day if self.is_open(day) else self.following(day)

    def on_or_before(self, day: date) -> date:
        """The day itself if it is open, else the one before it ("preceding" convention)."""
        for back in range(LONGEST_SEARCH_DAYS):
            earlier = day - timedelta(days=back)
            if self.is_open(earlier):
                return earlier
        raise AssertionError("no open day in ten years")

    def open_days(self, since: date, until: date) -> list[date]:
        """The open days of a span, both ends included."""
        days = (since + timedelta(days=n) for n in range((until - since).days + 1))
        return [day for day in days if self.is_open(day)]


@lru_cache(maxsize=256)
def calendar_of(kind: CalendarKind, imported: tuple[YearNotice, ...] = ()) -> Calendar:
    """The calendar of a kind; the same object for the same notices, so that what is computed on it is kept."""
    return Calendar(kind, imported)


NATURAL, LEGAL, BANK, EXCHANGE = (calendar_of(kind) for kind in KINDS)


def calendar_named(kind: str, imported: Iterable[YearNotice] = ()) -> Calendar:
    """The calendar of a name. Raises Invalid for an unknown one."""
    if kind not in KINDS:
        raise Invalid("calendar/unknown", f"There is no calendar {kind!r}; known: {', '.join(KINDS)}.")
    return calendar_of(kind, tuple(imported))


def is_working_day(day: date) -> bool:
    """Whether a day is worked, make-up days included. Raises Invalid for a year without a notice."""
    return LEGAL.is_open(day)


def is_bank_day(day: date) -> bool:
    """Whether the interbank market and the large-value payment system are open."""
    return BANK.is_open(day)


def next_bank_day(day: date, count: int = 1) -> date:
    """The `count`-th bank day after a day."""
    return BANK.following(day, count)


def holiday_name(day: date) -> str:
    """The English name of the day's public holiday, or "" where there is none or the package does not know the year."""
    if packaged_notice(day.year) is None:
        return ""
    _, name = chinese_calendar.get_holiday_detail(day)
    return str(name or "")
