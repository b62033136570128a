"""The sealed chain: gap-free positions and chained blocks over the content hashes of every stream.

Rows queue their hash in the transaction that writes them; the sealer numbers them afterwards, so that no transaction
waits for the head of the chain. A block covers the positions `first` to `last`:

    root = SHA-256(stream ‖ 0x00 ‖ row id ‖ 0x00 ‖ hash, for each position in order)
    hash = SHA-256(JSON [tenant, height, first, last, previous (hex), root (hex), sealed_at])
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from entrepot.kernel.database import Database, UnitOfWork
from entrepot.kernel.database.sealing import blocks, seals, unsealed
from entrepot.kernel.events.service import Event
from entrepot.kernel.operations.canonical import content_hash

log = logging.getLogger(__name__)
GENESIS = bytes(32)
SEAL_LIMIT = 5_000
ADVISORY_LOCK = 0x656E7472  # "entr": one sealer at a time on PostgreSQL


def root_hash(rows: Iterable[tuple[str, str, bytes]]) -> bytes:
    """Root of a block's rows (stream, row id, hash) in order of position."""
    digest = hashlib.sha256()
    for stream, row_id, row_hash in rows:
        digest.update(stream.encode() + b"\0" + row_id.encode() + b"\0" + row_hash)
    return digest.digest()


def block_hash(tenant: str, height: int, first: int, last: int, previous: bytes, root: bytes, sealed_at: int) -> bytes:
    """Hash of a block's header."""
    return content_hash(tenant, height, first, last, previous.hex(), root.hex(), sealed_at)


def seal_once(database: Database, now_us: int) -> dict[str, int]:
    """Seal what waits, one block a tenant; the last position of each tenant that got one."""
    with database.unit() as uow:
        if uow.dialect == "postgresql" and not uow.read("SELECT pg_try_advisory_xact_lock(%s)", (ADVISORY_LOCK,))[0][0]:
            return {}
        # Row ids begin with the time of making, so that this order is close to the order of events.
        waiting = uow.read(
            f"SELECT tenant, stream, row_id, hash FROM unsealed ORDER BY tenant, row_id, stream LIMIT {SEAL_LIMIT}"
        )
        by_tenant: dict[str, list[tuple[str, str, bytes]]] = {}
        for tenant, stream, row_id, row_hash in waiting:
            by_tenant.setdefault(tenant, []).append((stream, row_id, bytes(row_hash)))
        return {tenant: _seal_block(uow, tenant, rows, now_us) for tenant, rows in by_tenant.items()}


def _seal_block(uow: UnitOfWork, tenant: str, rows: list[tuple[str, str, bytes]], now_us: int) -> int:
    head = uow.read("SELECT height, last, hash FROM blocks WHERE tenant = %s ORDER BY height DESC LIMIT 1", (tenant,))
    height, position, previous = (head[0][0], head[0][1], bytes(head[0][2])) if head else (0, 0, GENESIS)
    first = position + 1
    for stream, row_id, row_hash in rows:
        position += 1
        uow.insert(seals, (tenant, position, stream, row_id, row_hash))
        uow.delete(unsealed, (tenant, stream, row_id))
    root = root_hash(rows)
    digest = block_hash(tenant, height + 1, first, position, previous, root, now_us)
    uow.insert(blocks, (tenant, height + 1, first, position, previous, root, digest, now_us))
    return position


class Sealer:
    """A thread that seals soon after each commit and tells its listeners the new last positions."""

    def __init__(self, database: Database, now_us: Callable[[], int], wake: threading.Event, pause_s: float = 0.1):
        self._database = database
        self._now_us = now_us
        self._wake = wake
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="sealer", daemon=True)
        self.listeners: list[Callable[[dict[str, int]], None]] = []

    def start(self) -> None:
        """Begin sealing."""
        self._thread.start()

    def stop(self) -> None:
        """Seal what is left, then end."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=30)

    def _work(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(timeout=1.0)
            self._wake.clear()
            self.drain()
            self._stop.wait(self._pause_s)
        self.drain()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def drain(self) -> None:
        """Seal until nothing waits."""
        try:
            while sealed := seal_once(self._database, self._now_us()):
                for listener in self.listeners:
                    listener(sealed)
        except Exception:
            log.exception("sealing failed; it is tried again")


@dataclass(frozen=True, slots=True)
class Break:
    """A place where the books do not hold: `where` names table and row, `what` says what differs."""

    tenant: str
    where: str
    what: str


def verify_chain(database: Database, tenant: str) -> Iterator[Break]:
    """Every difference in the tenant's chain and event rows, sealed and unsealed.

    Recomputes each block from its rows, each event's hash from its fields, and the presence of every row.
    """
    with database.reader() as uow:
        yield from _verify_blocks(uow, tenant)
        yield from _verify_events(uow, tenant)


def _verify_blocks(uow: UnitOfWork, tenant: str) -> Iterator[Break]:
    previous, expected_first, height = GENESIS, 1, 0
    for row in uow.read(
        "SELECT height, first, last, previous, root, hash, sealed_at FROM blocks WHERE tenant = %s ORDER BY height",
        (tenant,),
    ):
        found_height, first, last, found_previous, root, digest, sealed_at = row
        where = f"blocks {found_height}"
        if found_height != height + 1 or first != expected_first or last < first:
            yield Break(tenant, where, f"the chain has a gap: block {height + 1} at position {expected_first} expected")
        if bytes(found_previous) != previous:
            yield Break(tenant, where, "does not continue the block before it")
        rows = uow.read(
            "SELECT stream, row_id, hash, position FROM seals WHERE tenant = %s AND position BETWEEN %s AND %s "
            "ORDER BY position",
            (tenant, first, last),
        )
        if [entry[3] for entry in rows] != list(range(first, last + 1)):
            yield Break(tenant, where, "sealed positions are missing")
        if root_hash((entry[0], entry[1], bytes(entry[2])) for entry in rows) != bytes(root):
            yield Break(tenant, where, "its sealed rows were changed")
        if block_hash(tenant, found_height, first, last, bytes(found_previous), bytes(root), sealed_at) != bytes(
            digest
        ):
            yield Break(tenant, where, "its header was changed")
        previous, expected_first, height = bytes(digest), last + 1, found_height
    for position, row_id in uow.read(
        "SELECT position, row_id FROM seals WHERE tenant = %s AND (position >= %s OR position < 1)",
        (tenant, expected_first),
    ):
        yield Break(tenant, f"seals {position}", f"{row_id} is numbered but in no block")


def _verify_events(uow: UnitOfWork, tenant: str) -> Iterator[Break]:
    columns = "e.id, e.type, e.subject, e.actor, e.party, e.at, e.operation, e.door, e.status, e.data, e.hash"
    after = ""
    while True:
        rows = uow.read(
            f"SELECT s.position, {columns}, s.hash, u.hash FROM events e "
            "LEFT JOIN seals s ON s.tenant = e.tenant AND s.stream = 'events' AND s.row_id = e.id "
            "LEFT JOIN unsealed u ON u.tenant = e.tenant AND u.stream = 'events' AND u.row_id = e.id "
            "WHERE e.tenant = %s AND e.id > %s ORDER BY e.id LIMIT 2000",
            (tenant, after),
        )
        for *fields, sealed, waiting in rows:
            event = Event(tenant, *fields)
            expected = sealed if sealed is not None else waiting
            if content_hash(*event.fields()) != bytes(event.hash):
                yield Break(tenant, f"events {event.id}", "its content was changed")
            if expected is None:
                yield Break(tenant, f"events {event.id}", "is neither sealed nor waiting to be sealed")
            elif bytes(expected) != bytes(event.hash):
                yield Break(tenant, f"events {event.id}", "its hash is not the sealed one")
            if sealed is not None and waiting is not None:
                yield Break(tenant, f"events {event.id}", "is sealed, and waits to be sealed again")
        if len(rows) < 2000:
            break
        after = rows[-1][1]
    for table, label in (("seals", "sealed"), ("unsealed", "waiting to be sealed")):
        for (row_id,) in uow.read(
            f"SELECT t.row_id FROM {table} t LEFT JOIN events e ON e.tenant = t.tenant AND e.id = t.row_id "
            "WHERE t.tenant = %s AND t.stream = 'events' AND e.id IS NULL",
            (tenant,),
        ):
            yield Break(tenant, f"events {row_id}", f"was removed although it is {label}")
