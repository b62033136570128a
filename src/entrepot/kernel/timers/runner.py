"""Firing timers: the due ones in order, each once, also with many workers and after a crash."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from entrepot.kernel.database import Database
from entrepot.kernel.timers.service import FAILED, FIRED, PENDING
from entrepot.kernel.timers.tables import timers

log = logging.getLogger(__name__)
BATCH = 500


@dataclass(frozen=True, slots=True)
class Due:
    """A timer to fire: `request` is the JSON of the operation's request."""

    tenant: str
    key: str
    due_us: int
    operation: str
    request: str
    every_us: int


Fire = Callable[[Due, str], str]
"""Runs the command with the idempotency key given; "" when it was done, the problem document when it was refused.

Raises for what may pass (an unreachable database, overload): the timer stays pending and is tried again.
"""


class TimerRunner:
    """Polls for due timers.

    Command and timer row are two transactions: a crash between them fires the same command with the same key again,
    which meets its stored answer. So workers need no lock among themselves.
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
        self._thread.join(timeout=30)

    def _work(self) -> None:
        while not self._stop.wait(self._pause_s):
            try:
                self.run_due()
            except Exception:
                log.exception("firing timers failed; it is tried again")
                self._stop.wait(1.0)

    def next_due_us(self) -> int | None:
        """When the next pending timer is due: what a replay moves its clock to."""
        with self._database.reader() as uow:
            rows = uow.read("SELECT MIN(due_at) FROM timers WHERE state = %s", (PENDING,))
        return None if rows[0][0] is None else int(rows[0][0])

    def run_due(self) -> int:
        """Fire everything that is due now; how many."""
        with self._database.reader() as uow:
            rows = uow.read(
                "SELECT tenant, key, due_at, operation, request, every_us FROM timers "
                "WHERE state = %s AND due_at <= %s ORDER BY due_at, tenant, key LIMIT %s",
                (PENDING, self._now_us(), BATCH),
            )
        for row in rows:
            if self._stop.is_set():
                break
            self._run(Due(*row))
        return len(rows)

    def _run(self, due: Due) -> None:
        problem = self._fire(due, f"timer:{due.key}:{due.due_us}")
        now_us = self._now_us()
        with self._database.unit() as uow:
            row = uow.lock(timers, (due.tenant, due.key))
            if row is None or row[5] != PENDING or row[2] != due.due_us:
                return  # the command itself moved or cancelled it, or another worker was quicker
            if due.every_us:
                following = due.due_us + due.every_us * max(1, -((due.due_us - now_us) // due.every_us))
                uow.upsert(timers, (*row[:2], following, *row[3:6], now_us, row[7], problem))
            else:
                uow.upsert(timers, (*row[:5], FAILED if problem else FIRED, now_us, row[7], problem))
        if problem:
            log.warning("timer %s was refused: %s", due.key, problem)
