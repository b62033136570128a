"""Delivery of notices beyond the inbox: through channels, after the commit, until it is done or given up."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from entrepot.kernel.database import Database
from entrepot.kernel.notices.service import COLUMNS, DELIVERED, FAILED, QUEUED, Notice
from entrepot.kernel.notices.tables import deliveries

log = logging.getLogger(__name__)
BATCH = 100
MAX_ATTEMPTS = 12
LONGEST_WAIT_S = 3_600


class Channel(Protocol):
    """A way to reach somebody outside: mail, webhook, short message."""

    def deliver(self, address: str, notice: Notice, key: str) -> None:
        """Hand a notice over; perhaps twice with the same key, after a crash. Raises when it must be tried again."""


class Deliverer:
    """Polls for queued deliveries. No transaction is open while a channel is at work."""

    def __init__(
        self, database: Database, now_us: Callable[[], int], channels: Mapping[str, Channel], pause_s: float = 1.0
    ) -> None:
        self._database = database
        self._now_us = now_us
        self._channels = channels
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="notices", daemon=True)

    def start(self) -> None:
        """Begin polling."""
        self._thread.start()

    def stop(self) -> None:
        """End after the delivery at hand."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _work(self) -> None:
        while not self._stop.wait(self._pause_s):
            try:
                self.run_due()
            except Exception:
                log.exception("delivering notices failed; it is tried again")

    def run_due(self) -> int:
        """Try every queued delivery whose time has come; how many. One that fails holds up no other."""
        with self._database.reader() as uow:
            chosen = ", ".join(f"n.{name.strip()}" for name in COLUMNS.split(","))
            rows = uow.read(
                f"SELECT d.channel, d.address, d.attempts, {chosen} FROM notice_deliveries d "
                "JOIN notices n ON n.tenant = d.tenant AND n.id = d.notice "
                "WHERE d.state = %s AND d.next_at <= %s ORDER BY d.next_at, d.notice LIMIT %s",
                (QUEUED, self._now_us(), BATCH),
            )
        for channel, address, attempts, tenant, *values in rows:
            if self._stop.is_set():
                break
            notice = Notice(*values)
            self._mark(tenant, notice.id, channel, attempts + 1, self._try(channel, address, notice))
        return len(rows)

    def _try(self, channel: str, address: str, notice: Notice) -> str:
        known = self._channels.get(channel)
        if known is None:
            return f"no channel {channel} is set up"
        try:
            known.deliver(address, notice, f"{notice.id}:{channel}")
        except Exception as error:  # noqa: BLE001 - whatever it was, it is tried again
            return repr(error)
        return ""

    def _mark(self, tenant: str, notice: str, channel: str, attempts: int, problem: str) -> None:
        with self._database.unit() as uow:
            row = uow.lock(deliveries, (tenant, notice, channel))
            if row is None or row[4] != QUEUED:
                return  # another worker was quicker
            state = QUEUED if problem and attempts < MAX_ATTEMPTS else FAILED if problem else DELIVERED
            next_us = self._now_us() + min(2**attempts, LONGEST_WAIT_S) * 1_000_000
            uow.upsert(deliveries, (*row[:4], state, attempts, next_us, problem))
        if problem:
            log.warning("notice %s by %s: attempt %d failed: %s", notice, channel, attempts, problem)
