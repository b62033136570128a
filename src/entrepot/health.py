"""Whether the worker does its work: what stands still, in plain words, and since when.

A part is down when it has ended, or when its work stands still beyond the setting `stall_limit_s`. What needs people
rather than another server (a workflow that failed, a step that is repeated) is a note and a metric; it makes no server
not ready. No name or identifier is told: whoever asks need not be signed in.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from entrepot.app import Entrepot
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.events.lag import unsealed_events

log = logging.getLogger(__name__)
FRESH_S = 1.0
LONGEST_S = 5.0
FIGURES = {
    "entrepot_workflows_unfinished": "Workflows that have not ended",
    "entrepot_workflows_failed": "Workflows that ended in an error, for people to look at",
    "entrepot_workflows_struggling": "Workflows that repeat a step here",
    "entrepot_workflow_workers": "Workers with a lease",
    "entrepot_workflow_orphans": "Ended workers whose workflows nobody has taken over",
    "entrepot_unsealed_events": "Events that wait to be sealed",
    "entrepot_seal_lag_seconds": "Age of the oldest event that waits to be sealed",
    "entrepot_timers_due": "Timers that are due and not fired",
    "entrepot_timer_lag_seconds": "How long the longest of them has been due",
    "entrepot_broker_restarts": "How often the embedded broker was started again",
}
UP, DOWN, NOT_STARTED, UNKNOWN, CONNECTING = "up", "down", "not started", "unknown", "connecting"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a part is down; `since` is an instant in ISO 8601."""

    part: str
    what: str
    since: str


@dataclass(slots=True)
class Report:
    """State of each part, problems, notes for people, and figures by the name of their metric."""

    parts: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether requests should come here."""
        return not self.problems

    def document(self) -> dict[str, Any]:
        """As the JSON of `/readyz`."""
        return {
            "status": "ready" if self.ready else "not ready",
            **self.parts,
            "problems": [{"part": p.part, "what": p.what, "since": p.since} for p in self.problems],
            "notes": self.notes,
        }


class Health:
    """Examines one application, at most once a second however many ask.

    What it finds standing still it remembers from one examination to the next; work that waited while no server ran
    counts from the making of this object.
    """

    def __init__(self, application: Entrepot, seconds: Callable[[], float] = time.monotonic) -> None:
        self._application = application
        self._seconds = seconds
        self._limit_s = application.settings.stall_limit_s
        self._made_us = application.clock.now_us()
        self._first_seen: dict[str, float] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._under_way: Future[Report] | None = None
        self._begun = 0.0
        self.latest = Report()

    async def examined(self) -> Report:
        """The state of a second ago, or a fresh one; one that takes too long is itself a problem."""
        now = self._seconds()
        if self._under_way is None or (self._under_way.done() and now - self._begun >= FRESH_S):
            self._begun = now
            self._under_way = self._thread.submit(self.examine)
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._under_way)), LONGEST_S)
        except TimeoutError:
            report = Report({"database": UNKNOWN})
            waited_s = self._seconds() - self._begun
            self._down(report, "database", f"the examination takes longer than {LONGEST_S:.0f} s", waited_s)
            return report

    def close(self) -> None:
        """End the examining thread."""
        self._thread.shutdown(wait=False)

    def examine(self) -> Report:
        """Examine every part now."""
        report = Report()
        try:
            with self._application.database.reader() as uow:
                uow.read("SELECT 1")
            report.parts["database"] = UP
            self._first_seen.pop("database", None)
        except Exception:  # noqa: BLE001 - whatever it is, the database is not ready
            self._down(report, "database", "the database cannot be read", self._lasting("database"))
        readable = report.parts["database"] == UP
        for part, check in (("workflows", self._workflows), ("sealing", self._sealing), ("timers", self._timers)):
            if not self._application.started:
                report.parts[part] = NOT_STARTED
            elif not readable:
                report.parts[part] = UNKNOWN
            else:
                self._try(report, part, check)
        self._try(report, "telemetry", self._telemetry)
        self.latest = report
        return report

    def _try(self, report: Report, part: str, check: Callable[[Report], None]) -> None:
        report.parts[part] = UP
        try:
            check(report)
            self._first_seen.pop(f"unexamined {part}", None)
        except Exception:
            log.exception("the state of %s could not be found out", part)
            lasting_s = self._lasting(f"unexamined {part}")
            self._down(report, part, "its state cannot be found out; the log says why", lasting_s)

    # --- the parts -----------------------------------------------------------------------------------------------

    def _workflows(self, report: Report) -> None:
        runner = self._application.workflows
        if not runner.ready:
            self._down(report, "workflows", "the workflow engine does not run", self._lasting("no engine"))
            return
        self._first_seen.pop("no engine", None)
        health = runner.health()
        report.figures |= {
            "entrepot_workflows_unfinished": health.unfinished,
            "entrepot_workflows_failed": health.failed,
            "entrepot_workflows_struggling": len(health.troubles),
            "entrepot_workflow_workers": health.workers,
            "entrepot_workflow_orphans": health.orphans,
        }
        if health.failed:
            report.notes.append(f"{_count(health.failed, 'workflow')} failed; people must look at it")
        if health.troubles:
            report.notes.append(
                f"{_count(len(health.troubles), 'workflow')} with a step that is repeated without success"
            )
        if not health.renewing:
            self._down(
                report, "workflows", "the thread that keeps the worker's lease has ended", self._lasting("lease")
            )
        elif health.renewed_s > self._limit_s:
            self._down(report, "workflows", "the worker's lease could not be renewed", health.renewed_s)
        orphaned_s = self._longest("orphans", health.orphan_ids)
        if orphaned_s > self._limit_s:
            what = f"the workflows of {_count(health.orphans, 'ended worker')} are taken over by nobody"
            self._down(report, "workflows", what, orphaned_s)
        waiting = [health.first_waiting] if health.first_waiting and health.places else []
        waiting_s = self._longest("waiting", waiting)
        if waiting_s > self._limit_s:
            self._down(report, "workflows", "workflows wait although there is room, and none is begun", waiting_s)

    def _sealing(self, report: Report) -> None:
        with self._application.database.reader() as uow:
            count, oldest_us = unsealed_events(uow)
        lag_s = self._age_s(oldest_us) if count else 0.0
        report.figures |= {"entrepot_unsealed_events": count, "entrepot_seal_lag_seconds": lag_s}
        if not self._application.sealer.alive:
            self._down(report, "sealing", "the sealing thread has ended", self._lasting("sealer"))
        elif lag_s > self._limit_s:
            self._down(report, "sealing", f"{_count(count, 'event')} not sealed yet", lag_s)

    def _timers(self, report: Report) -> None:
        runner = self._application.timers
        count, oldest_us = runner.overdue()
        lag_s = self._age_s(oldest_us) if count else 0.0
        report.figures |= {"entrepot_timers_due": count, "entrepot_timer_lag_seconds": lag_s}
        if not runner.alive:
            self._down(report, "timers", "the thread that fires timers has ended", self._lasting("timers"))
        elif lag_s > self._limit_s:
            self._down(report, "timers", f"{_count(count, 'timer')} overdue and not fired", lag_s)

    def _telemetry(self, report: Report) -> None:
        telemetry = self._application.telemetry
        if not telemetry.started:
            report.parts["telemetry"] = NOT_STARTED
            return
        if telemetry.broker is not None:
            report.figures["entrepot_broker_restarts"] = telemetry.broker.restarts
            if telemetry.broker.down_s > 0:
                what = "the embedded MQTT broker has ended and is not running again yet"
                self._down(report, "telemetry", what, telemetry.broker.down_s)
        for task in telemetry.ended_tasks:
            self._down(report, "telemetry", f"{task} has ended", self._lasting(task))
        if not telemetry.connected and report.parts["telemetry"] == UP:
            # An outside broker that is away is away for every server: no other one would be better to ask.
            report.parts["telemetry"] = CONNECTING

    # --- since when ----------------------------------------------------------------------------------------------

    def _down(self, report: Report, part: str, what: str, lasting_s: float) -> None:
        report.parts[part] = DOWN
        since_us = self._application.clock.now_us() - int(lasting_s * 1_000_000)
        report.problems.append(Problem(part, what, from_us(since_us).isoformat(timespec="seconds")))

    def _lasting(self, what: str) -> float:
        return self._seconds() - self._first_seen.setdefault(what, self._seconds())

    def _longest(self, kind: str, present: Iterable[str]) -> float:
        """How long the oldest of those has been seen, at every examination since."""
        keys = {f"{kind} {name}" for name in present}
        for gone in [key for key in self._first_seen if key.startswith(f"{kind} ") and key not in keys]:
            del self._first_seen[gone]
        return max((self._lasting(key) for key in keys), default=0.0)

    def _age_s(self, at_us: int) -> float:
        return max(0, self._application.clock.now_us() - max(at_us, self._made_us)) / 1_000_000


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
