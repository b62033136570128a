"""Timers fired through the executor on both databases: order, exactly once, refusals, retries, schedules, replay."""

import threading
from collections.abc import Iterator
from datetime import datetime, time
from typing import Any

import pytest

from entrepot.kernel.casework import Cases
from entrepot.kernel.casework.manifest import manifest as casework_manifest
from entrepot.kernel.database import Database, open_database
from entrepot.kernel.database.schema import from_us, to_us
from entrepot.kernel.operations import Actor, Executor, ManualClock, Registry, Runtime
from entrepot.kernel.timers import Timer, Timers
from entrepot.kernel.timers.firing import fire_with
from entrepot.kernel.timers.manifest import manifest as timers_manifest
from entrepot.kernel.timers.operations import ListTimers, RetryTimer
from entrepot.kernel.timers.runner import ALARM_AFTER, TimerRunner
from tests.kernel.services import Desk, local
from tests.kernel.timers.alarm_clock import SetDaily, SetRing, Snooze, manifest

START = "2008-09-26 10:00"  # a Friday; the weekend after it is worked, then National Day week until 5 October
LI = Actor("lanzhou", "li", "org_1", "person", frozenset({"clock:set", "clock:ring", "kernel:operate"}))


class Clockwork:
    """An executor and a runner on one database, with a clock that the test moves."""

    def __init__(self, database: Database, clock: ManualClock | None = None) -> None:
        self.database = database
        self.clock = clock or ManualClock(local(START))
        registry = Registry((manifest, casework_manifest, timers_manifest))
        self.executor = Executor(Runtime(database, registry, self.clock), seed=1).start()
        self.runner = TimerRunner(database, self.clock.now_us, fire_with(self.executor))

    def run(self, request: Any) -> Any:
        return self.executor.run(request, LI)

    def rings(self) -> list[str]:
        """What has rung, in order of time."""
        return [case.subject for case in sorted(self._cases(), key=lambda case: (case.due_us, case.id))]

    def times(self) -> list[datetime]:
        return sorted(from_us(case.due_us or 0) for case in self._cases())

    def _cases(self) -> list[Any]:
        with Desk(self.database).read() as scope:
            return Cases(scope).list(type="alarm", limit=10_000)

    def timer(self, key: str) -> Timer:
        with Desk(self.database).read() as scope:
            return Timers(scope).get(key)

    def move(self, text: str) -> None:
        self.clock.move_to(local(text))

    def until(self, text: str) -> int:
        """Replay: move the clock from one due time to the next; how many steps."""
        end_us, steps = to_us(local(text)), 0
        while (due_us := self.runner.next_due_us()) is not None and due_us <= end_us:
            self.clock.move_to_us(due_us)
            self.runner.run_due()
            steps += 1
        self.clock.move_to_us(end_us)
        return steps


@pytest.fixture
def works(database: Database) -> Iterator[Clockwork]:
    works = Clockwork(database)
    yield works
    works.executor.stop()


def test_due_timers_ring_in_order_and_once(works):
    for name, after_s in (("late", 7200), ("early", 60), ("noon", 3600), ("later", 90_000)):
        works.run(SetRing(name=name, after_s=after_s))
    assert works.runner.next_due_us() == to_us(local("2008-09-26 10:01"))
    assert works.runner.run_due() == 0
    fired: list[str] = []
    inner = fire_with(works.executor)

    def fire(timer: Timer, key: str) -> str:
        fired.append(timer.key)
        return inner(timer, key)

    works.runner = TimerRunner(works.database, works.clock.now_us, fire)
    works.move("2008-09-26 13:00")
    assert works.runner.run_due() == 3
    assert works.runner.run_due() == 0
    assert sorted(works.rings()) == ["early", "late", "noon"]
    assert fired == ["early", "noon", "late"]
    assert works.timer("early").state == "fired"
    assert works.timer("later").state == "pending"


def test_a_cancelled_or_moved_timer_does_not_ring_at_its_old_time(works):
    for name in ("cancelled", "moved"):
        works.run(SetRing(name=name, after_s=60))
    with Desk(works.database, START).write() as scope:
        assert Timers(scope).cancel("cancelled")
        assert not Timers(scope).cancel("cancelled")
        assert not Timers(scope).cancel("unknown")
    works.run(SetRing(name="moved", after_s=7200))
    works.move("2008-09-26 11:00")
    assert works.runner.run_due() == 0
    works.move("2008-09-26 12:00")
    assert works.runner.run_due() == 1
    assert works.rings() == ["moved"]


def test_a_refused_timer_fails_with_its_problem_and_a_case_and_can_be_retried(works):
    works.run(SetRing(name="bell", after_s=60, refuse=True))
    works.move("2008-09-26 11:00")
    assert works.runner.run_due() == 1
    timer = works.timer("bell")
    assert timer.state == "failed"
    assert "The bell is broken." in timer.problem
    assert works.rings() == []
    with Desk(works.database).read() as scope:
        (case,) = Cases(scope).list(type="timer-failed")
        assert case.subject == "bell"
        assert case.data["operation"] == "clock.ring"
    assert works.runner.run_due() == 0
    assert [view.key for view in works.run(ListTimers(state="failed")).timers] == ["bell"]
    assert works.run(RetryTimer(key="bell")).state == "pending"
    assert works.runner.run_due() == 1
    assert works.timer("bell").state == "failed", "refused again, under a new key"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_internal_error_is_reported_like_a_refusal(works):
    works.run(SetRing(name="bell", after_s=60, crash=True))
    works.run(SetRing(name="other", after_s=61))
    works.move("2008-09-26 11:00")
    works.runner.run_due()
    assert works.timer("bell").state == "failed"
    assert works.rings() == ["other"]


def test_an_unreachable_executor_leaves_timers_pending_and_holds_up_no_other(works):
    works.run(SetRing(name="stuck", after_s=60))
    works.run(SetRing(name="fine", after_s=61))
    inner, cut = fire_with(works.executor), True

    def fire(timer: Timer, key: str) -> str:
        if timer.key == "stuck" and cut:
            raise ConnectionError("no executor")
        return inner(timer, key)

    works.runner = TimerRunner(works.database, works.clock.now_us, fire)
    works.until("2008-09-26 10:10")
    assert works.rings() == ["fine"]
    stuck = works.timer("stuck")
    assert (stuck.state, stuck.attempts > ALARM_AFTER) == ("pending", True)
    with Desk(works.database).read() as scope:
        assert [case.subject for case in Cases(scope).list(type="timer-failed")] == ["stuck"], "one case, not ten"
    cut = False
    works.until("2008-09-26 10:30")
    assert works.timer("stuck").state == "fired"
    assert sorted(works.rings()) == ["fine", "stuck"]


def test_a_crash_between_command_and_mark_rings_once(works):
    works.run(SetRing(name="bell", after_s=60))
    works.move("2008-09-26 11:00")
    inner = fire_with(works.executor)

    class Killed(BaseException):
        pass

    def fire(timer: Timer, key: str) -> str:
        inner(timer, key)
        raise Killed

    with pytest.raises(Killed):
        TimerRunner(works.database, works.clock.now_us, fire).run_due()
    assert works.timer("bell").state == "pending"
    assert works.rings() == ["bell"]
    assert works.runner.run_due() == 1
    assert works.rings() == ["bell"]
    assert works.timer("bell").state == "fired"


def test_many_workers_ring_each_timer_once(works, database_url):
    for number in range(40):
        works.run(SetRing(name=f"bell-{number:02d}", after_s=60 + number))
    works.move("2008-09-26 11:00")
    others = [works]
    if works.database.dialect == "postgresql":  # on SQLite one process owns the file
        others += [Clockwork(open_database(database_url, durable=False), works.clock) for _ in range(2)]
    else:
        others += [works, works]
    failures: list[Exception] = []

    def work(one: Clockwork) -> None:
        try:
            while one.runner.run_due():
                pass
        except Exception as error:  # noqa: BLE001 - the test fails with it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for one in others:
        if one is not works:
            one.executor.stop()
            one.database.close()
    assert not failures
    assert sorted(works.rings()) == [f"bell-{number:02d}" for number in range(40)]
    with Desk(works.database).read() as scope:
        assert len(Timers(scope).list("fired")) == 40
        assert Cases(scope).list(type="timer-failed") == []


def test_a_timer_that_its_own_command_sets_again(works):
    with Desk(works.database, START).write() as scope:
        Timers(scope).at(local("2008-09-26 11:00"), Snooze(name="bell", left=3), "bell")
    assert works.until("2008-09-26 18:00") == 4
    assert works.times() == [local(f"2008-09-26 {hour}:00") for hour in (11, 12, 13, 14)]
    assert works.timer("bell").state == "fired"


def test_a_schedule_recurs_and_what_was_missed_is_not_made_up_for(works):
    works.run(SetRing(name="tick", after_s=600, every_s=3600))
    works.until("2008-09-26 13:00")
    assert works.times() == [local(f"2008-09-26 {clock}") for clock in ("10:10", "11:10", "12:10")]
    works.move("2008-09-26 17:30")  # nothing ran meanwhile
    assert works.runner.run_due() == 1
    assert works.runner.run_due() == 0
    assert from_us(works.timer("tick").due_us) == local("2008-09-26 18:10")


def test_a_refused_schedule_goes_on_and_leaves_a_case(works):
    works.run(SetRing(name="tick", after_s=600, every_s=3600, refuse=True))
    works.until("2008-09-26 12:00")
    timer = works.timer("tick")
    assert timer.state == "pending"
    assert "broken" in timer.problem
    with Desk(works.database).read() as scope:
        assert len(Cases(scope).list(type="timer-failed")) == 2


@pytest.mark.parametrize(
    ("calendar", "days"),
    [
        (
            "natural",
            ["09-26", "09-27", "09-28", "09-29", "09-30", "10-01", "10-02", "10-03", "10-04", "10-05", "10-06"],
        ),
        ("bank", ["09-26", "09-27", "09-28", "10-06"]),
        ("exchange", ["09-26", "10-06"]),
    ],
)
def test_a_daily_schedule_follows_its_calendar(works, calendar, days):
    works.run(SetDaily(name="close", at=time(15, 30), calendar=calendar))
    works.until("2008-10-06 18:00")
    assert works.times() == [local(f"2008-{day} 15:30") for day in days]


def test_a_schedule_that_reaches_an_unknown_year_stops_with_a_case(works):
    works.move("2026-12-31 10:00")
    works.run(SetDaily(name="close", at=time(15, 30), calendar="bank"))
    works.until("2027-01-05 10:00")
    assert works.timer("close").state == "failed"
    assert "2027" in works.timer("close").problem
    with Desk(works.database).read() as scope:
        assert len(Cases(scope).list(type="timer-failed")) == 1


def test_a_request_that_is_no_longer_accepted_fails_and_is_not_tried_for_ever(works):
    with Desk(works.database, START).write() as scope:
        timers = Timers(scope)
        timers.set("old", to_us(local(START)), "clock.ring", '{"title": "gone"}')
        timers.set("gone", to_us(local(START)), "clock.removed", "{}")
    works.runner.run_due()
    assert works.timer("old").state == works.timer("gone").state == "failed"


def test_the_thread_fires_what_is_due(works):
    works.run(SetRing(name="bell", after_s=0))
    works.runner = TimerRunner(works.database, works.clock.now_us, fire_with(works.executor), pause_s=0.01)
    works.runner.start()
    waited = threading.Event()
    for _ in range(500):
        if works.timer("bell").state == "fired":
            break
        waited.wait(0.01)
    works.runner.stop()
    assert works.rings() == ["bell"]
