"""Working time: deadlines in working hours and days, and the working time between two instants.

Every year becomes one sorted table of working spans in microseconds, so that a deadline is two binary searches.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from entrepot.kernel.database.schema import from_us, to_us
from entrepot.kernel.operations.errors import Invalid
from entrepot.kernel.reference.calendars import LEGAL, Calendar

REGION = ZoneInfo("Asia/Shanghai")
HOUR_US = 3_600_000_000
LONGEST_YEARS = 30


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """The spans of a working day, in local time and in order; the default is 09:00 to 17:00 without a break."""

    spans: tuple[tuple[time, time], ...] = ((time(9), time(17)),)
    _hash: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self.spans))  # asked for at every deadline
        edges = [edge for span in self.spans for edge in span]
        assert edges, "a working day has hours"
        assert edges == sorted(set(edges)), "spans are in order and do not touch"

    def __hash__(self) -> int:
        return self._hash

    @property
    def day_us(self) -> int:
        """How many microseconds of working time a working day has."""
        day = date(2000, 1, 1)
        spans = [datetime.combine(day, end) - datetime.combine(day, begin) for begin, end in self.spans]
        return sum(spans, timedelta()) // timedelta(microseconds=1)

    def with_lunch(self, begin: time = time(12), end: time = time(13)) -> "WorkingHours":
        """The same hours with a break."""
        spans: list[tuple[time, time]] = []
        for opens, closes in self.spans:
            if end <= opens or closes <= begin:
                spans.append((opens, closes))
                continue
            if opens < begin:
                spans.append((opens, begin))
            if end < closes:
                spans.append((end, closes))
        return WorkingHours(tuple(spans))


OFFICE = WorkingHours()


@dataclass(frozen=True, slots=True)
class _Year:
    """Working spans of a year: starts and ends as instants, and the working time passed at each end."""

    starts: list[int]
    ends: list[int]
    passed: list[int]

    @property
    def total_us(self) -> int:
        return self.passed[-1] if self.passed else 0

    def elapsed_us(self, instant_us: int) -> int:
        """Working time from the beginning of the year to an instant in it."""
        place = bisect_right(self.starts, instant_us) - 1
        if place < 0:
            return 0
        return self.passed[place] - max(self.ends[place] - instant_us, 0)

    def instant_us(self, elapsed_us: int) -> int:
        """The first instant at which so much working time of the year has passed."""
        place = bisect_left(self.passed, elapsed_us)
        return self.ends[place] - (self.passed[place] - elapsed_us)


@dataclass(frozen=True)
class WorkingTime:
    """Working time by a calendar and office hours."""

    calendar: Calendar = LEGAL
    hours: WorkingHours = OFFICE
    zone: ZoneInfo = REGION
    _years: dict[int, _Year] = field(default_factory=dict, init=False, repr=False, compare=False)
    _last: dict[str, tuple[int, int, int]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def deadline_us(self, start_us: int, work_us: int) -> int:
        """The instant when so much working time after `start_us` has passed; without work the start itself.

        A deadline that ends with a working span ends with it, not at the beginning of the next. Raises Invalid for a
        year without a notice.
        """
        if work_us < 0:
            raise Invalid("calendar/backwards", "A deadline lies after its start.")
        if work_us == 0:
            return start_us
        year = self._year_at(start_us)
        target = self._year(year).elapsed_us(start_us) + work_us
        for ahead in range(LONGEST_YEARS):
            table = self._year(year + ahead)
            if target <= table.total_us:
                return table.instant_us(target)
            target -= table.total_us
        raise Invalid("calendar/too-far", f"A deadline lies within {LONGEST_YEARS} years.")

    def between_us(self, start_us: int, end_us: int) -> int:
        """The working time from one instant to another; zero when the second is not later."""
        if end_us <= start_us:
            return 0
        first, last = self._year_at(start_us), self._year_at(end_us)
        full = sum(self._year(year).total_us for year in range(first, last))
        return full + self._year(last).elapsed_us(end_us) - self._year(first).elapsed_us(start_us)

    def _year_at(self, instant_us: int) -> int:
        """The local year of an instant; the bounds of the last one are kept, for most instants lie in it."""
        begin, end, year = self._last.get("year", (0, 0, 0))
        if not begin <= instant_us < end:
            year = from_us(instant_us).astimezone(self.zone).year
            bounds = [to_us(datetime(one, 1, 1, tzinfo=self.zone).astimezone(UTC)) for one in (year, year + 1)]
            self._last["year"] = (bounds[0], bounds[1], year)
        return year

    def _year(self, year: int) -> _Year:
        table = self._years.get(year)
        if table is None:
            table = self._years[year] = self._tabulate(year)
        return table

    def _tabulate(self, year: int) -> _Year:
        table, passed = _Year([], [], []), 0
        for day in self.calendar.open_days(date(year, 1, 1), date(year, 12, 31)):
            for begin, end in self.hours.spans:
                opens = to_us(datetime.combine(day, begin, self.zone).astimezone(UTC))
                closes = to_us(datetime.combine(day, end, self.zone).astimezone(UTC))
                passed += closes - opens
                table.starts.append(opens)
                table.ends.append(closes)
                table.passed.append(passed)
        return table


@lru_cache(maxsize=256)
def working_time(calendar: Calendar = LEGAL, office: WorkingHours = OFFICE, zone: ZoneInfo = REGION) -> WorkingTime:
    """The working time of a calendar and office hours, one object each."""
    return WorkingTime(calendar, office, zone)


def working_deadline(
    start: datetime, *, hours: float = 0, days: int = 0, calendar: Calendar = LEGAL, office: WorkingHours = OFFICE
) -> datetime:
    """The instant (UTC) when so many working hours, or working days of full office hours, after `start` have passed.

    Raises Invalid for a year without a notice.

    >>> working_deadline(datetime(2026, 9, 30, 8, tzinfo=UTC), hours=2).isoformat()  # 16:00 before National Day
    '2026-10-08T02:00:00+00:00'
    """
    work_us = round(hours * HOUR_US) + days * office.day_us
    return from_us(working_time(calendar, office).deadline_us(to_us(start), work_us))


def working_time_between(
    start: datetime, end: datetime, *, calendar: Calendar = LEGAL, office: WorkingHours = OFFICE
) -> timedelta:
    """The working time from `start` to `end`; zero when `end` is not later."""
    return timedelta(microseconds=working_time(calendar, office).between_us(to_us(start), to_us(end)))
