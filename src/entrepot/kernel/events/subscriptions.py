"""Subscriptions: each sealed event is handled once and in order, also across restarts and workers."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from entrepot.kernel.database import Database, Scope
from entrepot.kernel.events.service import Event, Events
from entrepot.kernel.events.tables import subscriptions

log = logging.getLogger(__name__)
BATCH = 200


@dataclass(frozen=True, slots=True)
class Subscription:
    """`handle(event)` returns the command that follows from an event, or None; it runs as the system's actor.

    The command carries the key `subscription:<name>:<event id>`: when a crash comes between command and cursor, the
    repeated command meets its stored answer.
    """

    name: str
    system: str
    types: tuple[str, ...]
    handle: Callable[[Event], Any]


class Subscriber:
    """Feeds the subscriptions, woken by the sealer.

    `run(tenant, system, request, key)` executes a command as that system and raises when it could not be decided; a
    refused command is done too, for its refusal is an event itself.
    """

    def __init__(
        self, database: Database, run: Callable[[str, str, Any, str], None], wanted: tuple[Subscription, ...]
    ) -> None:
        self._database = database
        self._run = run
        self._wanted = wanted
        self._ends: dict[str, int] = {}
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="subscriber", daemon=True)

    def start(self) -> None:
        """Begin, with whatever was sealed while nobody listened."""
        with self._database.reader() as uow:
            self.sealed(dict(uow.read("SELECT tenant, MAX(last) FROM blocks GROUP BY tenant")))
        self._thread.start()

    def stop(self) -> None:
        """End after the event at hand."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=30)

    def sealed(self, ends: dict[str, int]) -> None:
        """Listener of the sealer."""
        self._ends.update(ends)
        self._wake.set()

    def _work(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            outcomes = [self.catch_up(tenant) for tenant in list(self._ends)]
            if not all(outcomes):
                self._stop.wait(1.0)
                self._wake.set()

    def catch_up(self, tenant: str) -> bool:
        """Handle every sealed event of the tenant that a subscription has not seen; false when one must try again.

        A subscription that fails holds up its own events alone.
        """
        well = True
        for wanted in self._wanted:
            try:
                while not self._stop.is_set() and self._step(tenant, wanted):
                    pass
            except Exception:
                log.exception("the subscription %s failed; it is tried again", wanted.name)
                well = False
        return well

    def _step(self, tenant: str, wanted: Subscription) -> bool:
        with self._database.reader() as uow:
            row = uow.row(subscriptions, (tenant, wanted.name))
            position = int(row[2]) if row else 0
            end = uow.read("SELECT COALESCE(MAX(last), 0) FROM blocks WHERE tenant = %s", (tenant,))[0][0]
            found = Events(_reading(uow, tenant)).read(position, BATCH, types=wanted.types)
        for event in found:
            request = wanted.handle(event)
            if request is not None:
                self._run(tenant, wanted.system, request, f"subscription:{wanted.name}:{event.id}")
        assert all(event.position is not None for event in found)
        reached = end if len(found) < BATCH else (found[-1].position or position)
        if reached > position:
            with self._database.unit() as uow:
                uow.upsert(subscriptions, (tenant, wanted.name, reached))
        return len(found) == BATCH


def _reading(uow: Any, tenant: str) -> Scope:
    from random import Random

    return Scope(uow, tenant, 0, Random(0), lambda prefix: prefix, "", lambda *_: None)
