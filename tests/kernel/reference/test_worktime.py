"""Deadlines in working time: golden cases around Spring Festival, and a slow minute-by-minute reference."""

from datetime import date, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.operations import Invalid
from entrepot.kernel.reference import (
    BANK,
    EXCHANGE,
    LEGAL,
    OFFICE,
    REGION,
    WorkingHours,
    YearNotice,
    working_deadline,
    working_time_between,
)
from entrepot.kernel.reference.calendars import calendar_of
from tests.kernel.services import instants, local

LUNCH = OFFICE.with_lunch()
INSTANTS = instants("2007-12-01", "2009-04-30")
MINUTES = st.integers(1, 60 * 200)
OFFICES = st.sampled_from([OFFICE, LUNCH, WorkingHours(((time(8, 30), time(12)), (time(14, 30), time(18))))])


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-03-02 09:00", 8, "2026-03-02 17:00"),  # a full Monday ends with it
        ("2026-03-02 09:00", 9, "2026-03-03 10:00"),
        ("2026-03-02 20:00", 1, "2026-03-03 10:00"),  # after hours the clock stands
        ("2026-03-06 16:00", 2, "2026-03-09 10:00"),  # over a weekend
        ("2026-02-13 16:00", 2, "2026-02-14 10:00"),  # Saturday 14 February 2026 is a make-up day
        ("2026-02-14 16:00", 2, "2026-02-24 10:00"),  # then Spring Festival until the 23rd
        ("2008-02-05 17:00", 1, "2008-02-13 10:00"),  # Spring Festival 2008: 6 to 12 February
        ("2008-02-01 17:00", 16, "2008-02-03 17:00"),  # Saturday 2 and Sunday 3 February 2008 were worked
        ("2008-12-31 16:30", 1, "2009-01-04 09:30"),  # New Year 2009, with a make-up Sunday on the 4th
        ("2026-09-30 16:00", 2, "2026-10-08 10:00"),  # National Day 2026
    ],
)
def test_golden_deadlines(start, hours, end):
    assert working_deadline(local(start), hours=hours) == local(end)
    assert working_time_between(local(start), local(end)) == timedelta(hours=hours)


def test_exchanges_rest_on_make_up_days():
    assert working_deadline(local("2026-02-13 16:00"), hours=2, calendar=EXCHANGE) == local("2026-02-24 10:00")
    assert working_deadline(local("2026-02-13 16:00"), hours=2, calendar=BANK) == local("2026-02-14 10:00")


def test_days_keep_the_time_of_day():
    assert working_deadline(local("2026-03-02 11:15"), days=3) == local("2026-03-05 11:15")
    assert working_deadline(local("2026-03-02 11:15"), days=3, office=LUNCH) == local("2026-03-05 11:15")


def test_lunch_does_not_count():
    assert [span[0] for span in LUNCH.spans] == [time(9), time(13)]
    assert working_deadline(local("2026-03-02 11:30"), hours=1, office=LUNCH) == local("2026-03-02 13:30")
    assert working_deadline(local("2026-03-02 12:15"), hours=1, office=LUNCH) == local("2026-03-02 14:00")
    assert OFFICE.with_lunch(time(18), time(19)) == OFFICE


def test_no_work_is_due_at_once_and_negative_work_is_refused():
    sunday = local("2026-03-01 03:00")
    assert working_deadline(sunday) == sunday
    with pytest.raises(Invalid):
        working_deadline(sunday, hours=-1)


def test_a_deadline_in_an_unknown_year_is_refused():
    with pytest.raises(Invalid) as refused:
        working_deadline(local("2026-12-31 16:00"), hours=2)
    assert refused.value.code == "calendar/unknown-year"
    imported = calendar_of("legal", (YearNotice(2027, frozenset({date(2027, 1, 1)}), frozenset()),))
    assert working_deadline(local("2026-12-31 16:00"), hours=2, calendar=imported) == local("2027-01-04 10:00")


@given(INSTANTS, MINUTES, OFFICES, st.sampled_from([LEGAL, EXCHANGE]))
def test_adding_then_measuring_gives_the_same(start, minutes, office, calendar):
    end = working_deadline(start, hours=minutes / 60, calendar=calendar, office=office)
    measured = working_time_between(start, end, calendar=calendar, office=office)
    assert abs(measured - timedelta(minutes=minutes)) <= timedelta(microseconds=1)
    assert end > start


@given(INSTANTS, MINUTES, MINUTES)
def test_deadlines_are_monotone_and_add_up(start, first, second):
    once = working_deadline(start, hours=(first + second) / 60)
    assert working_deadline(start, hours=first / 60) < once
    twice = working_deadline(working_deadline(start, hours=first / 60), hours=second / 60)
    assert abs(twice - once) <= timedelta(microseconds=2)
    assert working_deadline(start + timedelta(hours=5), hours=first / 60) >= working_deadline(start, hours=first / 60)


@given(INSTANTS, INSTANTS, INSTANTS)
def test_working_time_adds_up(one, two, three):
    first, second, third = sorted([one, two, three])
    whole = working_time_between(first, third)
    assert whole == working_time_between(first, second) + working_time_between(second, third)
    assert timedelta() <= whole <= third - first
    assert working_time_between(third, first) == timedelta()


@given(instants("2008-01-28", "2008-02-20"), st.integers(0, 900), OFFICES)
def test_equals_counting_minute_by_minute(start, minutes, office):
    start = start.replace(second=0, microsecond=0)
    end = start + timedelta(minutes=minutes)
    counted = 0
    for n in range(minutes):
        here = (start + timedelta(minutes=n)).astimezone(REGION)
        if LEGAL.is_open(here.date()):
            counted += any(begin <= here.time() < close for begin, close in office.spans)
    assert working_time_between(start, end, office=office) == timedelta(minutes=counted)
