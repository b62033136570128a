"""The books that book rules compare with: what the ledger says lies behind a device, as the systems know it.

A system whose manifest names a module under `books` declares there, as `BOOKS`, which of its books belongs to a device.
They are read from the main database before the telemetry transaction begins, so that no reading waits for a lock, and
remembered for a few seconds. A book that cannot be read judges nothing and stops nothing.
"""

import importlib
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

from entrepot.kernel.database import Database, Scope, UnitOfWork
from entrepot.kernel.operations.system import Registry
from entrepot.kernel.things.rules import Figure, Rule

FRESH_US = 3_000_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Book:
    """The book of one device, in a unit of its own.

    `booked` is what the ledger says; `measure` makes of a reading's values the same quantity, None where they do not
    suffice. `units` are the names that a rule's `value` may have, each with how many of the book's units it is; a rule
    with another name is compared in the book's unit. Differences are shares of the book, but of no less than `floor`.
    """

    booked: float
    measure: Callable[[Mapping[str, float]], float | None]
    units: Mapping[str, float] = field(default_factory=dict)
    floor: float = 0.0


BookSource = Callable[[Scope, str], Book | None]
"""A reading scope and a device → its book; None for a device that is not the system's."""


def book_sources(registry: Registry) -> tuple[BookSource, ...]:
    """What the systems of the registry declare as `BOOKS` in the modules that their manifests name."""
    found: list[BookSource] = []
    for system in registry.systems.values():
        if system.books is not None:
            found += importlib.import_module(system.books).BOOKS
    return tuple(found)


class DeviceBooks:
    """The books of one tenant's devices. For one thread, that of ingest."""

    def __init__(self, database: Database, tenant: str, sources: Iterable[BookSource]) -> None:
        self._database = database
        self._tenant = tenant
        self._sources = tuple(sources)
        self._known: dict[str, tuple[Book | None, int]] = {}
        self._troubled: set[str] = set()

    def refresh(self, devices: Iterable[str], now_us: int) -> None:
        """Read again the books of those devices that were read some seconds ago. Never raises."""
        old = [name for name in devices if not self._is_fresh(name, now_us)]
        if not old or not self._sources:
            return
        self._known.update(dict.fromkeys(old, (None, now_us)))  # whatever happens, not again for some seconds
        try:
            with self._database.reader() as uow:
                scope = self._reading(uow, now_us)
                for name in old:
                    self._known[name] = self._read(scope, name), now_us
        except Exception:
            log.exception("the books of %d devices could not be read; their book rules rest meanwhile", len(old))

    def figure(self, device: str, rule: Rule, values: Mapping[str, float]) -> Figure | None:
        """What a book rule compares, in the rule's unit; None where there is no book or nothing measured."""
        book, _ = self._known.get(device, (None, 0))
        if book is None:
            return None
        try:
            measured = book.measure(values)
        except Exception:
            if device not in self._troubled:
                self._troubled.add(device)
                log.exception("a reading of %s could not be compared with its book", device)
            return None
        if measured is None or not math.isfinite(measured):
            return None
        unit = book.units.get(rule.value, 1.0)
        return Figure(measured / unit, book.booked / unit, book.floor / unit)

    def _is_fresh(self, device: str, now_us: int) -> bool:
        known = self._known.get(device)
        return known is not None and abs(now_us - known[1]) < FRESH_US

    def _read(self, scope: Scope, device: str) -> Book | None:
        return next((book for source in self._sources if (book := source(scope, device)) is not None), None)

    def _reading(self, uow: UnitOfWork, now_us: int) -> Scope:
        return Scope(uow, self._tenant, now_us, Random(0), lambda prefix: prefix, "system:things", lambda *_: None)
