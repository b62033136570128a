"""Calendars against published lists: QuantLib's China calendars (SSE and interbank) for 2008 and 2009."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.operations import Invalid
from entrepot.kernel.reference import BANK, EXCHANGE, LEGAL, NATURAL, Calendar, YearNotice
from entrepot.kernel.reference.calendars import KINDS, calendar_named, holiday_name, packaged_notice

# QuantLib ql/time/calendars/china.cpp: weekdays on which the Shanghai exchange rests, and working weekends of IB.
SSE_CLOSED = {
    2008: [
        "01-01", "02-06", "02-07", "02-08", "02-11", "02-12", "04-04", "05-01", "05-02", "06-09", "09-15", "09-29",
        "09-30", "10-01", "10-02", "10-03",
    ],
    2009: [
        "01-01", "01-02", "01-26", "01-27", "01-28", "01-29", "01-30", "04-06", "05-01", "05-28", "05-29", "10-01",
        "10-02", "10-05", "10-06", "10-07", "10-08",
    ],
}  # fmt: skip
IB_WORKING_WEEKENDS = {
    2008: ["02-02", "02-03", "05-04", "09-27", "09-28"],
    2009: ["01-04", "01-24", "02-01", "05-31", "09-27", "10-10"],
}
KNOWN_DAYS = st.dates(date(2004, 1, 8), date(2026, 11, 30))


@pytest.mark.parametrize("year", [2008, 2009])
def test_exchange_days_are_those_of_shanghai(year):
    closed = {date.fromisoformat(f"{year}-{day}") for day in SSE_CLOSED[year]}
    days = [date(year, 1, 1) + timedelta(days=n) for n in range(365)]
    assert {day for day in days if day.weekday() < 5 and not EXCHANGE.is_open(day)} == closed


@pytest.mark.parametrize("year", [2008, 2009])
def test_banks_work_on_make_up_days(year):
    worked = {date.fromisoformat(f"{year}-{day}") for day in IB_WORKING_WEEKENDS[year]}
    days = [date(year, 1, 1) + timedelta(days=n) for n in range(365)]
    assert {day for day in days if day.weekday() >= 5 and BANK.is_open(day)} == worked
    assert {day for day in days if day.weekday() >= 5 and LEGAL.is_open(day)} == worked
    assert not any(EXCHANGE.is_open(day) for day in worked)


def test_spring_festival_of_2026():
    """Notice of the State Council for 2026: 15 to 23 February off, 14 and 28 February (Saturdays) worked."""
    assert not any(LEGAL.is_open(date(2026, 2, day)) for day in range(15, 24))
    assert LEGAL.is_open(date(2026, 2, 14))
    assert LEGAL.is_open(date(2026, 2, 28))
    assert not EXCHANGE.is_open(date(2026, 2, 14))
    assert LEGAL.following(date(2026, 2, 14)) == date(2026, 2, 24)
    assert EXCHANGE.following(date(2026, 2, 13), 2) == date(2026, 2, 25)
    assert holiday_name(date(2026, 2, 17)) == "Spring Festival"
    assert holiday_name(date(2026, 3, 4)) == ""


@pytest.mark.parametrize("kind", ["legal", "bank", "exchange"])
@pytest.mark.parametrize("year", [2003, 2027, 2100])
def test_an_unknown_year_is_refused(kind, year):
    with pytest.raises(Invalid) as refused:
        calendar_named(kind).is_open(date(year, 3, 3))
    assert refused.value.code == "calendar/unknown-year"
    assert refused.value.extras == {"year": year}
    assert NATURAL.is_open(date(year, 3, 3))


def test_a_search_that_reaches_an_unknown_year_is_refused():
    with pytest.raises(Invalid):
        LEGAL.following(date(2026, 12, 30), 5)


def test_an_imported_notice_makes_the_year_known_and_stands_before_the_packaged_one():
    future = YearNotice(2027, frozenset({date(2027, 1, 1)}), frozenset({date(2027, 1, 3)}))
    calendar = Calendar("legal", (future,))
    assert not calendar.is_open(date(2027, 1, 1))
    assert calendar.is_open(date(2027, 1, 3))
    assert not Calendar("exchange", (future,)).is_open(date(2027, 1, 3))
    amended = YearNotice(2020, frozenset({date(2020, 1, 31)}), frozenset())
    assert Calendar("legal", (amended,)).is_open(date(2020, 1, 28))
    assert not LEGAL.is_open(date(2020, 1, 28))


@pytest.mark.parametrize(
    ("off", "worked"),
    [
        ({date(2027, 1, 2)}, set()),  # a Saturday is off anyway
        (set(), {date(2027, 1, 4)}),  # a Monday is worked anyway
        ({date(2026, 1, 1)}, set()),  # another year
    ],
)
def test_a_notice_that_contradicts_itself_is_refused(off, worked):
    with pytest.raises(Invalid):
        YearNotice(2027, frozenset(off), frozenset(worked))


def test_an_unknown_calendar_is_refused():
    with pytest.raises(Invalid):
        calendar_named("lunar")


@given(KNOWN_DAYS, st.sampled_from(KINDS), st.integers(1, 5))
def test_following_days_are_open_and_none_is_skipped(day, kind, count):
    calendar = calendar_named(kind)
    later = calendar.following(day, count)
    assert calendar.is_open(later)
    assert len(calendar.open_days(day + timedelta(days=1), later)) == count


@given(KNOWN_DAYS)
def test_the_calendars_nest(day):
    assert EXCHANGE.is_open(day) <= BANK.is_open(day) <= NATURAL.is_open(day)
    assert LEGAL.on_or_before(day) <= day <= LEGAL.on_or_after(day)


def test_every_packaged_year_balances():
    """A weekend day is worked only for a weekday that is off."""
    for year in range(2004, 2027):
        notice = packaged_notice(year)
        assert notice is not None
        assert len(notice.make_up) <= len(notice.days_off)
