"""Firing timers: the due ones in order, each once, also with many workers and after a crash."""

import logging
import threading
from collections.abc import Callable
from random import Random

import orjson

from entrepot.kernel.casework import Action, Cases, CaseType, define
from entrepot.kernel.database import Database, Scope, UnitOfWork
from entrepot.kernel.operations.clock import stem
from entrepot.kernel.operations.errors import Refusal
from entrepot.kernel.reference.service import Reference
from entrepot.kernel.timers.schedules import Schedule
from entrepot.kernel.timers.service import FAILED, FIRED, PENDING, Timer, due, next_due_us, overdue, row_of
from entrepot.kernel.timers.tables import timers

log = logging.getLogger(__name__)
BATCH = 500
LONGEST_WAIT_S = 300
PASSING_STATUS = frozenset({429, 503})
ALARM_AFTER = 5
Fire = Callable[[Timer, str], str]
"""Runs the timer's command with the idempotency key given; "" when it was done, the problem document when refused.

May raise for what passes (an unreachable database): the timer then stays pending and is tried again.
"""

TIMER_FAILED = define(
    CaseType(
        "timer-failed",
        ("Timer not done", "定时任务未完成"),
        "open",
        ("closed",),
        (Action("close", ("Close", "结案"), ("open",), "closed", needs=("note",)),),
        states={"open": ("Open", "待处理"), "closed": ("Closed", "已结案")},
    )
)


class TimerRunner:
    """Polls for due timers.

    Command and timer row are two transactions: a crash between them fires the same command with the same key again,
    which meets its stored answer. For the same reason workers need no lock among themselves. A refused timer is marked
    failed and a case is opened on it; one whose command came to no answer is tried again, ever more slowly, holds up no
    other, and opens a case at the fifth attempt.
    """

    def __init__(self, database: Database, now_us: Callable[[], int], fire: Fire, pause_s: float = 0.25) -> None:
        self._database = database
        self._now_us = now_us
        self._fire = fire
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="timers", daemon=True)

    def start(self) -> None:
        """Begin polling."""
        self._thread.start()

    def stop(self) -> None:
        """End after the timer at hand."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _work(self) -> None:
        while not self._stop.wait(self._pause_s):
            try:
                self.run_due()
            except Exception:
                log.exception("firing timers failed; it is tried again")
                self._stop.wait(1.0)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def overdue(self) -> tuple[int, int]:
        """How many timers of all tenants are due now, and since when the longest of them is (0 when none is)."""
        with self._database.reader() as uow:
            return overdue(uow, self._now_us())

    def next_due_us(self) -> int | None:
        """When the next pending timer is due: what a replay moves its clock to."""
        with self._database.reader() as uow:
            return next_due_us(uow)

    def run_due(self) -> int:
        """Fire everything that is due now, in order; how many."""
        with self._database.reader() as uow:
            ready = due(uow, self._now_us(), BATCH)
        for timer in ready:
            if self._stop.is_set():
                break
            self._run(timer)
        return len(ready)

    def _run(self, timer: Timer) -> None:
        try:
            problem = self._fire(timer, timer.idempotency_key)
        except Exception as error:  # noqa: BLE001 - one timer holds up no other
            self._try_later(timer, repr(error))
            return
        if problem and _status(problem) in PASSING_STATUS:
            self._try_later(timer, problem)
            return
        with self._database.unit() as uow:
            uow.begin_operation()
            if self._unchanged(uow, timer):
                self._finish(uow, timer, problem)

    def _finish(self, uow: UnitOfWork, timer: Timer, problem: str) -> None:
        now_us = self._now_us()
        scope = self._scope(uow, timer, now_us)
        following: int | None = None
        if timer.schedule:
            try:
                schedule = Schedule.parse(timer.schedule)
                calendar = Reference(scope).calendar(schedule.calendar)
                following = schedule.following_us(timer.due_us, now_us, calendar)
            except Refusal as refusal:  # a year without a notice: somebody must import it, then retry the timer
                problem = problem or orjson.dumps(refusal.problem()).decode()
        if following is not None:
            row = row_of(timer, due_us=following, fired_us=now_us, problem=problem, attempts=0, retry_us=0)
        else:
            row = row_of(timer, state=FAILED if problem else FIRED, fired_us=now_us, problem=problem)
        uow.upsert(timers, row)
        if problem:
            log.warning("timer %s was refused: %s", timer.key, problem)
            self._report(scope, timer, problem)

    @staticmethod
    def _report(scope: Scope, timer: Timer, problem: str) -> None:
        title = (f"{timer.operation} was not done at its time", f"定时操作 {timer.operation} 未能按时执行")
        data = {"key": timer.key, "operation": timer.operation, "due_us": timer.due_us, "problem": problem}
        Cases(scope).open(TIMER_FAILED.name, timer.key, title, data=data)

    def _try_later(self, timer: Timer, problem: str) -> None:
        log.warning("timer %s came to no answer and is tried again: %s", timer.key, problem)
        wait_s = min(2**timer.attempts, LONGEST_WAIT_S)
        with self._database.unit() as uow:
            uow.begin_operation()
            if self._unchanged(uow, timer):
                now_us, attempts = self._now_us(), timer.attempts + 1
                retry_us = now_us + wait_s * 1_000_000
                uow.upsert(timers, row_of(timer, problem=problem, attempts=attempts, retry_us=retry_us))
                if attempts == ALARM_AFTER:
                    self._report(self._scope(uow, timer, now_us), timer, problem)

    @staticmethod
    def _unchanged(uow: UnitOfWork, timer: Timer) -> bool:
        """False when the command itself moved or cancelled the timer, or another worker was quicker."""
        row = uow.lock(timers, (timer.tenant, timer.key))
        return row is not None and row[5] == PENDING and row[2] == timer.due_us

    @staticmethod
    def _scope(uow: UnitOfWork, timer: Timer, now_us: int) -> Scope:
        random = Random(f"{timer.tenant}:{timer.idempotency_key}")  # so that a replay gives the same identifiers
        identifier = stem(now_us, random)
        return Scope(
            uow, timer.tenant, now_us, random, lambda prefix: f"{prefix}_{identifier}", "system:timers", lambda *_: None
        )


def _status(problem: str) -> int:
    """The status of a problem document; 0 for other text."""
    try:
        return int(orjson.loads(problem)["status"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return 0
