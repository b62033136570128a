"""Setting timers, and the arithmetic of schedules."""

from datetime import datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.database import Database
from entrepot.kernel.database.schema import from_us, to_us
from entrepot.kernel.operations import Conflict, Invalid, NotFound
from entrepot.kernel.reference import REGION
from entrepot.kernel.reference.calendars import KINDS, calendar_named
from entrepot.kernel.timers import Schedule, Timers
from tests.kernel.services import Desk, instants

INSTANTS = instants("2008-01-01", "2009-12-01").map(to_us)


def test_a_key_names_one_timer(database: Database):
    desk = Desk(database)
    with desk.write() as scope:
        timers = Timers(scope)
        timers.set("a", 5, "x.y", "{}")
        timers.set("a", 7, "x.y", "{}")
        timers.set("b", 6, "x.y", "{}", fresh=True)
        assert timers.due_us("a") == 7
        assert [(timer.key, timer.actor) for timer in timers.list()] == [("b", "li"), ("a", "li")]
        assert timers.due_us("none") is None
        with pytest.raises(NotFound):
            timers.get("none")
        with pytest.raises(Conflict):
            timers.retry("a")
    with Desk(database, tenant="xining").read() as scope:
        assert Timers(scope).list() == []


@pytest.mark.parametrize(
    "text", ["", "every", "every x", "every 0", "every -5", "daily", "daily 25:00 legal", "daily 09:00", "weekly 1"]
)
def test_what_is_no_schedule_is_refused(text):
    with pytest.raises(Invalid):
        Schedule.parse(text)


@given(INSTANTS, INSTANTS, st.times(), st.sampled_from(KINDS))
def test_a_daily_schedule_is_due_next_at_its_time_on_an_open_day(due_us, now_us, at, kind):
    at = at.replace(second=0, microsecond=0)
    schedule, calendar = Schedule(at=at, calendar=kind), calendar_named(kind)
    assert Schedule.parse(str(schedule)) == schedule
    following = from_us(schedule.following_us(due_us, now_us, calendar)).astimezone(REGION)
    assert to_us(following) > max(due_us, now_us)
    assert following.time() == at
    assert calendar.is_open(following.date())
    between = calendar.open_days(from_us(max(due_us, now_us)).astimezone(REGION).date(), following.date())
    assert len(between) <= 2
    if len(between) == 2:
        assert datetime.combine(between[0], at, REGION) <= from_us(max(due_us, now_us))


@given(INSTANTS, INSTANTS, st.integers(1, 100_000))
def test_an_interval_keeps_its_phase(due_us, now_us, every_s):
    following = Schedule(every_s=every_s).following_us(due_us, now_us, calendar_named("natural"))
    assert following > max(due_us, now_us)
    assert (following - due_us) % (every_s * 1_000_000) == 0
    assert following - max(due_us, now_us) <= every_s * 1_000_000
    assert Schedule.parse(str(Schedule(every_s=every_s))) == Schedule(every_s=every_s)


def test_a_schedule_is_one_of_both():
    with pytest.raises(Invalid):
        Schedule(every_s=5, at=time(9))
