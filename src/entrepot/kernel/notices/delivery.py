"""Delivery of notices beyond the inbox: through channels, after the commit, until it is done or given up.

A delivery is claimed by moving its `next_at` to the end of a lease, in a statement that only one worker's can win; its
attempt number is the fence behind which the outcome is written. A worker that dies in between leaves a lease that
ends: the message goes out again, under the same key.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from entrepot.kernel.database import Database, UnitOfWork
from entrepot.kernel.notices.addresses import (
    ADDRESS_COLUMNS,
    CODE_US,
    ENDED,
    MAIL,
    UNCONFIRMED,
    Address,
    Content,
    open_content,
)
from entrepot.kernel.notices.channels import LONGEST_S, Channel, Gone, Target, Undeliverable, one_line
from entrepot.kernel.notices.routing import ACTIVE
from entrepot.kernel.notices.service import COLUMNS, DELIVERED, FAILED, QUEUED
from entrepot.kernel.notices.tables import addresses
from entrepot.kernel.notices.values import Notice
from entrepot.kernel.signing.keyring import Keyring
from entrepot.kernel.signing.suites import Unreadable

log = logging.getLogger(__name__)
AT_ONCE = 8
MAX_ATTEMPTS = 12
LONGEST_WAIT_S = 3_600
OLDEST_S = 3 * 86_400
LEASE_S = LONGEST_S + 30
# An address that failed this often in a row rests, ever longer; then one message tries whether it is back.
RESTS_AFTER, FIRST_REST_S, LONGEST_REST_S = 3, 30, 1_800
SECOND_US = 1_000_000
End = Callable[[str, str, str, str], None]
"""Ends an address that wants nothing more: tenant, address, why, key. May be called again with the same key."""


class Claimed(NamedTuple):
    """A delivery that this worker holds the lease of; without a notice it is the code of a mail address."""

    address: Address
    notice_id: str
    attempts: int
    queued_us: int
    notice: Notice | None

    @property
    def key(self) -> str:
        """The same for every attempt."""
        return f"{self.notice_id}-{self.address.id}"


class Deliverer:
    """Polls for queued deliveries. No transaction is open while a channel is at work.

    At most `at_once` messages are on their way, one to each address: a slow receiver holds up itself alone.
    """

    def __init__(
        self, database: Database, now_us: Callable[[], int], channels: Mapping[str, Channel], keyring: Keyring,
        end: End, *, pause_s: float = 1.0, at_once: int = AT_ONCE,
    ) -> None:  # fmt: skip
        self._database = database
        self._now_us = now_us
        self._channels = channels
        self._keyring = keyring
        self._end = end
        self._pause_s = pause_s
        self._at_once = at_once
        self._guard = threading.Lock()
        self._under_way: dict[tuple[str, str], Future[None]] = {}
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(at_once, "notices")
        self._thread = threading.Thread(target=self._work, name="notices", daemon=True)

    def start(self) -> None:
        """Begin polling."""
        self._thread.start()

    def stop(self) -> None:
        """End after the deliveries that are under way; one that hangs is left to the end of its lease."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        with self._guard:
            running = list(self._under_way.values())
        wait(running, timeout=30)
        self._pool.shutdown(wait=False)

    def _work(self) -> None:
        while not self._stop.is_set():
            started = 0
            self._wake.clear()
            try:
                started = self._start_due()
            except Exception:
                log.exception("delivering notices failed; it is tried again")
            if not started:
                self._wake.wait(self._pause_s)

    def run_due(self) -> int:
        """Try every delivery whose time has come and wait for them; how many. One that fails holds up no other."""
        count = 0
        while started := self._start_due():
            count += started
            self._settle()
        return count

    def _settle(self) -> None:
        with self._guard:
            running = list(self._under_way.values())
        wait(running)

    # --- claiming ----------------------------------------------------------------------------------------------

    def _start_due(self) -> int:
        with self._guard:
            busy = set(self._under_way)
        free = self._at_once - len(busy)
        if self._stop.is_set() or free <= 0:
            return 0
        due = [key for key in self._due(len(busy) + free) if key not in busy][:free]
        if not due:
            return 0
        with self._database.unit() as uow:
            # In one order in every worker, so that two of them never wait for each other's rows.
            claimed = [found for key in sorted(due) if (found := self._claim(uow, *key)) is not None]
        for each in claimed:
            key = (each.address.tenant, each.address.id)
            with self._guard:
                future = self._under_way[key] = self._pool.submit(self._deliver, each)
            future.add_done_callback(lambda done, key=key: self._done(key, done))  # type: ignore[misc]
        return len(due)

    def _done(self, key: tuple[str, str], future: "Future[None]") -> None:
        with self._guard:
            self._under_way.pop(key, None)
        self._wake.set()
        error = future.exception()
        if error is not None:
            log.error("a delivery to %s came to no end; it is made again", key[1], exc_info=error)

    def _due(self, limit: int) -> list[tuple[str, str]]:
        """Addresses with a delivery that is due, the longest due first."""
        now_us = self._now_us()
        with self._database.reader() as uow:
            rows = uow.read(
                "SELECT d.tenant, d.address FROM notice_deliveries d "
                "JOIN notice_addresses a ON a.tenant = d.tenant AND a.id = d.address "
                "WHERE d.state = %s AND d.next_at <= %s AND a.resting_until <= %s "
                "GROUP BY d.tenant, d.address ORDER BY MIN(d.next_at), d.address LIMIT %s",
                (QUEUED, now_us, now_us, limit),
            )
        return [(row[0], row[1]) for row in rows]

    def _claim(self, uow: UnitOfWork, tenant: str, address_id: str) -> Claimed | None:
        """The earliest delivery that is due at an address; None when another worker has it, or none can be made."""
        now_us = self._now_us()
        rows = uow.read(
            "SELECT notice, attempts, queued_at FROM notice_deliveries WHERE tenant = %s AND address = %s "
            "AND state = %s AND next_at <= %s ORDER BY next_at, notice LIMIT 1",
            (tenant, address_id, QUEUED, now_us),
        )
        if not rows:
            return None
        notice_id, attempts, queued_us = rows[0]
        taken = uow.execute(
            "UPDATE notice_deliveries SET attempts = attempts + 1, next_at = %s WHERE tenant = %s AND notice = %s "
            "AND address = %s AND state = %s AND attempts = %s AND next_at <= %s",
            (now_us + LEASE_S * SECOND_US, tenant, notice_id, address_id, QUEUED, attempts, now_us),
        )
        if not taken:
            return None
        found = uow.read(
            f"SELECT {ADDRESS_COLUMNS} FROM notice_addresses WHERE tenant = %s AND id = %s", (tenant, address_id)
        )
        message = uow.read(f"SELECT {COLUMNS} FROM notices WHERE tenant = %s AND id = %s", (tenant, notice_id))
        notice = Notice(*message[0][1:]) if message else None
        claimed = Claimed(Address(*found[0]), notice_id, attempts + 1, queued_us, notice)
        hindrance = self._hindrance(claimed, now_us)
        if hindrance:
            self._write(uow, claimed, FAILED, now_us, hindrance)
            return None
        return claimed

    @staticmethod
    def _hindrance(claimed: Claimed, now_us: int) -> str:
        """Why a delivery is not to be made any more; "" when it is."""
        address, is_code = claimed.address, claimed.notice is None
        if address.state == ENDED:
            return "the address was ended"
        if address.state != (UNCONFIRMED if is_code else ACTIVE):
            return "the address is confirmed already" if is_code else "the address is not confirmed"
        if is_code and now_us >= address.code_us + CODE_US:
            return "the code is too old"
        return "it could not be delivered in time" if now_us >= claimed.queued_us + OLDEST_S * SECOND_US else ""

    # --- delivering --------------------------------------------------------------------------------------------

    def _deliver(self, claimed: Claimed) -> None:
        address = claimed.address
        try:
            content = open_content(self._keyring, address)
        except (Unreadable, ValueError) as error:
            self._mark(claimed, f"the address cannot be opened: {error}", for_good=False)
            return
        try:
            channel = self._channels.get(address.channel)
            if channel is None:
                raise LookupError(f"no channel {address.channel} is set up")
            notice = claimed.notice or _code_notice(claimed, content)
            channel.deliver(Target(content.address, content.secret), notice, claimed.key)
        except Gone as error:
            problem = _discreet(error, content)
            self._end(address.tenant, address.id, problem, f"{claimed.key}:gone")
            self._mark(claimed, problem, for_good=True)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is tried again
            self._mark(claimed, _discreet(error, content), for_good=isinstance(error, Undeliverable))
        else:
            self._mark(claimed, "", for_good=True)

    def _mark(self, claimed: Claimed, problem: str, *, for_good: bool) -> None:
        now_us, attempts = self._now_us(), claimed.attempts
        given_up = for_good or attempts >= MAX_ATTEMPTS
        state = DELIVERED if not problem else FAILED if given_up else QUEUED
        next_us = now_us + min(2**attempts, LONGEST_WAIT_S) * SECOND_US if state == QUEUED else now_us
        address = claimed.address
        with self._database.unit() as uow:
            # The address before its deliveries, as whoever ends it does: two that wait for each other would be stuck.
            row = uow.lock(addresses, (address.tenant, address.id))
            if row is None or not self._write(uow, claimed, state, next_us, problem):
                return  # the lease had ended, and another worker made the delivery again
            before = Address(*row)
            after = before._replace(failures=0, resting_until_us=0, problem="")
            if problem:
                after = _after_failure(before, now_us, problem, rests=not for_good)
            if after != before and not before.ended_us:
                uow.upsert(addresses, after)
        if problem:
            log.warning("notice %s: attempt %d failed: %s", claimed.key, attempts, problem)

    @staticmethod
    def _write(uow: UnitOfWork, claimed: Claimed, state: str, next_us: int, problem: str) -> bool:
        changed = uow.execute(
            "UPDATE notice_deliveries SET state = %s, next_at = %s, problem = %s "
            "WHERE tenant = %s AND notice = %s AND address = %s AND state = %s AND attempts = %s",
            (state, next_us, problem, claimed.address.tenant, claimed.notice_id, claimed.address.id, QUEUED,
             claimed.attempts),
        )  # fmt: skip
        return changed > 0


def _after_failure(address: Address, now_us: int, problem: str, *, rests: bool) -> Address:
    failures = address.failures + 1
    rest_s = min(FIRST_REST_S * 2 ** min(max(failures - RESTS_AFTER, 0), 16), LONGEST_REST_S)
    resting_us = now_us + rest_s * SECOND_US if rests and failures >= RESTS_AFTER else 0
    return address._replace(failures=failures, resting_until_us=resting_us, problem=problem)


def _discreet(error: Exception, content: Content) -> str:
    """What went wrong, without the address, the secret or the code, which receivers like to repeat."""
    text = one_line(str(error), 2_000) or type(error).__name__
    for word in (content.secret, content.address, content.code):
        if word:
            text = text.replace(word, "…")
    return one_line(text)


def _code_notice(claimed: Claimed, content: Content) -> Notice:
    assert claimed.address.channel == MAIL, "only mail addresses are confirmed"
    return Notice(
        id=claimed.notice_id,
        party=claimed.address.party,
        kind="address",
        subject=claimed.address.id,
        title="Confirm this address",
        title_zh="确认邮箱地址",
        body=f"The code is {content.code}. Enter it in the inbox within half an hour. "
        "If you did not ask for it, do nothing: without the code nothing more is sent to you.",
        body_zh=f"验证码为 {content.code}，请于半小时内在收件箱中输入。"
        "如非本人操作，请忽略本邮件，此后不会再向您发送任何邮件。",
        sent_us=claimed.queued_us,
        read_us=0,
        read_by="",
    )


__all__ = ["MAX_ATTEMPTS", "Deliverer"]
