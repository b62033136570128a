"""The edge of every operation: queues, group commit, retries. Nothing else commits.

Commands wait in a queue. A worker thread (one on SQLite, a few on PostgreSQL) takes all that wait, runs them in one
transaction and answers after the commit. When the commit fails, each is run again alone.

On PostgreSQL the operations that lock rows have a queue and a worker of their own: two groups that lock the same rows
in another order would end each other as deadlocks. Between processes this can happen still; there a group waits for a
lock a short while only, and is then run one by one.
"""

import asyncio
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from random import Random
from typing import Any, TypeVar, cast

from sqlalchemy.exc import DBAPIError

from entrepot.kernel.database import RetryAlone
from entrepot.kernel.operations.context import Actor
from entrepot.kernel.operations.declaration import Answer, Operation, Request
from entrepot.kernel.operations.errors import Conflict, Refusal, Unavailable
from entrepot.kernel.operations.runtime import Call, Outcome, Runtime

log = logging.getLogger(__name__)
A = TypeVar("A", bound=Answer)
Resolve = Callable[[Outcome], None]
_Item = tuple[Call, Resolve]
ATTEMPTS_ALONE = 6
GROUP_LOCK_WAIT_MS = 100
INTERNAL_PROBLEM = {
    "type": "https://entrepot.dev/problems/internal",
    "title": "Internal error",
    "title_zh": "内部错误",
    "status": 500,
    "detail": "The operation failed and nothing was changed. The failure was recorded.",
}


class Executor:
    """Runs commands and queries of a `Runtime`. Start it before use and stop it after; it may be used as a context."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        writers: int | None = None,
        readers: int = 4,
        group: int | None = None,
        seed: int | None = None,
        max_waiting: int = 20_000,
    ) -> None:
        self.runtime = runtime
        sqlite = runtime.database.dialect == "sqlite"
        self.writers = 1 if sqlite else (writers or 2)
        self.group = group or (512 if sqlite else 64)
        self.max_waiting = max_waiting
        self.counts: dict[tuple[str, int], int] = {}
        self.seconds: dict[str, float] = {}
        self.committed = threading.Event()  # set after each commit: the sealer sleeps on it
        self._seed = int.from_bytes(os.urandom(8)) if seed is None else seed
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._locking: queue.SimpleQueue[_Item | None] = queue.SimpleQueue() if self.writers > 1 else self._queue
        self._threads: list[threading.Thread] = []
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="reader")
        self._local = threading.local()
        self._stopping = False

    # --- life --------------------------------------------------------------------------------------------------

    def start(self) -> "Executor":
        """Start the worker threads."""
        for number in range(self.writers):
            source = self._queue if number else self._locking
            thread = threading.Thread(target=self._work, args=(number, source), name=f"writer-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def stop(self) -> None:
        """Answer what waits, then stop."""
        self._stopping = True
        for number in range(len(self._threads)):
            (self._queue if number else self._locking).put(None)
        for thread in self._threads:
            thread.join(timeout=30)
        self._threads.clear()
        for source in (self._queue, self._locking):
            with suppress(queue.Empty):  # what slipped in behind the end is answered, too
                while True:
                    if (item := source.get_nowait()) is not None:
                        stopped = Unavailable("executor/stopped", "The server stops; send the same key again.")
                        item[1](Outcome.refused(stopped))
        self._readers.shutdown(wait=True)

    def __enter__(self) -> "Executor":
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    # --- calling -----------------------------------------------------------------------------------------------

    async def execute(self, request: Request[A], actor: Actor, key: str = "", door: str = "inprocess") -> A:
        """Run a command or query from the event loop. Raises Refusal."""
        return cast(A, (await self.outcome(request, actor, key, door)).result())

    def run(self, request: Request[A], actor: Actor, key: str = "", door: str = "inprocess") -> A:
        """Run a command or query from a thread that is neither the event loop nor a writer. Raises Refusal."""
        return cast(A, self.submit(request, actor, key, door).result().result())

    async def outcome(self, request: Request[Any], actor: Actor, key: str = "", door: str = "inprocess") -> Outcome:
        """Like `execute`, but a refusal is returned, not raised: what the doors need."""
        try:
            call = self.runtime.prepare(request, actor, key, door)
        except Refusal as refusal:
            return Outcome.refused(refusal)
        loop = asyncio.get_running_loop()
        if call.operation.kind == "query":
            return await loop.run_in_executor(self._readers, self._ask, call)
        if call.operation.prepare is not None:
            await loop.run_in_executor(self._readers, self._prepare, call)
        future: asyncio.Future[Outcome] = loop.create_future()
        self._enqueue(call, _LoopAnswer(loop, future))
        return await future

    def submit(self, request: Request[Any], actor: Actor, key: str = "", door: str = "inprocess") -> "Future[Outcome]":
        """Like `outcome`, for threads: a concurrent future."""
        assert threading.current_thread() not in self._threads, "a handler uses ctx.call, not the executor"
        future: Future[Outcome] = Future()
        try:
            call = self.runtime.prepare(request, actor, key, door)
        except Refusal as refusal:
            future.set_result(Outcome.refused(refusal))
            return future
        if call.operation.kind == "query":
            return self._readers.submit(self._ask, call)
        if call.operation.prepare is not None:
            self._prepare(call)
        self._enqueue(call, _FutureAnswer(future))
        return future

    def refuse(self, operation: Operation, request: Request[Any], actor: Actor, refusal: Refusal, door: str) -> None:
        """Leave the event of a refusal that the edge itself decided (a bad key, a rate limit)."""
        self._queue.put((Call(request, operation, actor, "", door), _Recorded(refusal)))

    def waiting(self) -> int:
        """Commands in the queues."""
        return self._queue.qsize() + (self._locking.qsize() if self._locking is not self._queue else 0)

    def _enqueue(self, call: Call, resolve: Resolve) -> None:
        if self._stopping or self.waiting() >= self.max_waiting:
            resolve(
                Outcome.refused(Unavailable("executor/overloaded", "Too much work waits; send the same key again."))
            )
            return
        (self._locking if call.operation.locks_rows else self._queue).put((call, resolve))

    def _prepare(self, call: Call) -> None:
        # A refusal is decided by the worker, after the permission and after an answer that the key already has.
        assert call.operation.prepare is not None
        try:
            with self.runtime.database.reader() as uow:
                call.prepared = call.operation.prepare(uow, call.actor.tenant, call.request)
        except Refusal as refusal:
            call.refused = refusal
        except Exception:
            log.exception("%s failed before its transaction", call.operation.name)
            call.refused = _InternalError("internal", str(INTERNAL_PROBLEM["detail"]))

    # --- queries -----------------------------------------------------------------------------------------------

    def _ask(self, call: Call) -> Outcome:
        started = time.perf_counter()
        outcome: Outcome
        try:
            outcome = self.runtime.database.ask(lambda uow: self.runtime.ask(uow, call, self._random()))
        except Refusal as refusal:
            outcome = Outcome.refused(refusal)
            if refusal.status in {401, 403}:
                self._queue.put((call, _Recorded(refusal)))
        except Exception:
            log.exception("%s failed", call.operation.name)
            outcome = Outcome(500, "", problem=dict(INTERNAL_PROBLEM))
        self._count(call, outcome, time.perf_counter() - started)
        return outcome

    def _random(self) -> Random:
        random = getattr(self._local, "random", None)
        if random is None:
            random = self._local.random = Random(self._seed)
        return cast(Random, random)

    # --- the worker ----------------------------------------------------------------------------------------------

    def _work(self, number: int, source: "queue.SimpleQueue[_Item | None]") -> None:
        random = Random(self._seed + number)
        while (first := source.get()) is not None:
            group, ended = [first], False
            while len(group) < self.group and not ended:
                try:
                    item = source.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    ended = True
                else:
                    group.append(item)
            started = time.perf_counter()
            outcomes = self._run_group(group, random)
            self.committed.set()
            self._answer(group, outcomes, (time.perf_counter() - started) / len(group))
            if ended:
                return

    def _run_group(self, group: Sequence[_Item], random: Random) -> list[Outcome]:
        if len(group) > 1:
            try:
                return self._transaction(group, random)
            except Exception as error:  # noqa: BLE001 - whatever it was, each is judged alone
                if not isinstance(error, RetryAlone):
                    log.info("a group of %d is retried alone: %s", len(group), error)
        return [self._run_alone(item, random) for item in group]

    def _run_alone(self, item: _Item, random: Random) -> Outcome:
        for attempt in range(ATTEMPTS_ALONE):
            try:
                return self._transaction([item], random)[0]
            except RetryAlone:
                time.sleep(random.uniform(0, 0.002 * 2**attempt))
            except Exception as error:  # noqa: BLE001
                if _passing(error) and attempt + 1 < ATTEMPTS_ALONE:
                    time.sleep(random.uniform(0, 0.01 * 2**attempt))
                    continue
                return self._failed(item, error, random)
        return Outcome.refused(
            Unavailable("executor/contended", "Others kept changing the same things; send the same key again.")
        )

    def _transaction(self, group: Sequence[_Item], random: Random) -> list[Outcome]:
        runtime = self.runtime
        with runtime.database.unit() as uow:
            if len(group) > 1 and group[0][0].operation.locks_rows:
                uow.wait_at_most(GROUP_LOCK_WAIT_MS)
            given = runtime.stored(uow, [call for call, _ in group])
            outcomes: list[Outcome] = []
            seen: dict[bytes, tuple[bytes, int, str]] = {}
            for call, resolve in group:
                if isinstance(resolve, _Recorded):
                    uow.begin_operation()
                    outcomes.append(runtime.record_refusal(uow, call, resolve.refusal, random))
                    continue
                stored = given.get(call.id) if call.id else None
                if stored is not None:
                    outcomes.append(runtime.replay(call, stored))
                    continue
                if call.id and call.id in seen:
                    outcomes.append(runtime.replay(call, seen[call.id]))
                    continue
                outcome = runtime.perform(uow, call, random)
                if call.id:
                    seen[call.id] = (call.request_hash, outcome.status, runtime.kept(call, outcome))
                outcomes.append(outcome)
            uow.begin_operation()
        return outcomes

    def _failed(self, item: _Item, error: Exception, random: Random) -> Outcome:
        call = item[0]
        if _integrity(error):
            refusal: Refusal = Conflict(
                "database/constraint", f"{call.operation.name}: changed by others, or it exists already."
            )
        else:
            log.error("%s failed", call.operation.name, exc_info=error)
            refusal = _InternalError("internal", str(INTERNAL_PROBLEM["detail"]))
        try:
            with self.runtime.database.unit() as uow:
                return self.runtime.record_refusal(uow, call, refusal, random)
        except Exception:
            log.exception("the failure of %s could not be recorded", call.operation.name)
            return Outcome.refused(Unavailable("database/unreachable", "The database cannot be reached; try again."))

    # --- answering -----------------------------------------------------------------------------------------------

    def _answer(self, group: Sequence[_Item], outcomes: Sequence[Outcome], each_s: float) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Outcome], Outcome]]] = {}
        for (call, resolve), outcome in zip(group, outcomes, strict=True):
            self._count(call, outcome, each_s)
            if isinstance(resolve, _LoopAnswer):
                by_loop.setdefault(resolve.loop, []).append((resolve.future, outcome))
            else:
                resolve(outcome)
        for loop, answers in by_loop.items():
            try:
                loop.call_soon_threadsafe(_resolve_all, answers)
            except RuntimeError:
                log.warning("%d answers found their event loop closed", len(answers))

    def _count(self, call: Call, outcome: Outcome, seconds: float) -> None:
        name = call.operation.name
        self.counts[name, outcome.status] = self.counts.get((name, outcome.status), 0) + 1
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds


class _InternalError(Refusal):
    status = 500
    title = ("Internal error", "内部错误")


class _FutureAnswer:
    __slots__ = ("_future",)

    def __init__(self, future: "Future[Outcome]") -> None:
        self._future = future

    def __call__(self, outcome: Outcome) -> None:
        with suppress(InvalidStateError):  # whoever waited has given up; the worker must not die of it
            self._future.set_result(outcome)


class _LoopAnswer:
    __slots__ = ("future", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, future: "asyncio.Future[Outcome]") -> None:
        self.loop = loop
        self.future = future

    def __call__(self, outcome: Outcome) -> None:
        self.loop.call_soon_threadsafe(_resolve_all, [(self.future, outcome)])


class _Recorded:
    __slots__ = ("refusal",)

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal

    def __call__(self, outcome: Outcome) -> None:
        """Nobody waits for this one."""


def _resolve_all(answers: list[tuple["asyncio.Future[Outcome]", Outcome]]) -> None:
    for future, outcome in answers:
        if not future.done():
            future.set_result(outcome)


def _driver_error(error: BaseException) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _integrity(error: BaseException) -> bool:
    return any(kind.__name__ == "IntegrityError" for kind in type(_driver_error(error)).__mro__)


def _passing(error: BaseException) -> bool:
    """Deadlocks, serialisation failures, unique keys lost in a race, a busy or restarting server."""
    return any(kind.__name__ in {"OperationalError", "IntegrityError"} for kind in type(_driver_error(error)).__mro__)
