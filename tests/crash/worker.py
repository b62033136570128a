"""A worker under load, to be killed: `python -m tests.crash.worker --database-url U --data-dir D --bank-url B`.

It is a whole Entrepot without its doors: commands come from callers in threads, readings from a gauge in another. What
an earlier worker left unanswered is sent again first, with the same keys, as any client would.
"""

import argparse
import os
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from entrepot.app import Entrepot, installed_systems
from entrepot.kernel.banking import HttpBank, use
from entrepot.kernel.casework.operations import ActOnCase, NoteOnCase
from entrepot.kernel.operations import Request, SystemClock
from entrepot.kernel.reference import REGION
from entrepot.kernel.reference.operations import PriceOfDay, SetPrices
from entrepot.kernel.things.message import ED25519, encode, public_key, telemetry_topic
from entrepot.kernel.workflows import WorkflowRunner
from entrepot.region.plan import DEVICE, TANK
from entrepot.region.seed import cast_of, manifest, seed_facility, seed_parties, seed_tank
from entrepot.settings import load_settings
from entrepot.systems.tradefinance.operations import ApproveLoan, PledgeGoods, ReleasePledge, Repay, RequestLoan
from entrepot.systems.warehousing.operations import (
    CancelReceipt,
    GoodsIn,
    GoodsOut,
    IssueReceipt,
    Reconcile,
    TransferReceipt,
)
from tests.crash import bells
from tests.crash.journal import Journal, read

TENANT = "lanzhou"
SERIES = "brent-cny-t"
OWNER = "org_huanghe"
KEY = b"the gauge key of the crash test!"
GAUGE = {"level_mm": 11_900.0, "temperature_c": 20.0, "density_kg_m3": 851.0, "water_mm": 15.0}
STOCK_KG = 12_000_000
# At 5,600 yuan a facility lent to its limit is called, at 4,800 notice of its disposal is given; at 7,000 all is well.
PRICES = (700_000, 700_000, 560_000, 480_000)
CALLERS = 4
FACILITIES = 3
SENT_AGAIN = 20


class ShiftedClock(SystemClock):
    """The system's clock, moved by a constant: a campaign begins on a working day whose calendar is known."""

    def __init__(self, shift_us: int) -> None:
        super().__init__()
        self._shift_us = shift_us

    def now_us(self) -> int:
        """The present of the campaign."""
        return super().now_us() + self._shift_us


def clock_of(folder: Path) -> ShiftedClock:
    """The clock of a campaign, the same for all of its processes: it began on 10 March 2026 at ten in the region."""
    file = folder / "shift"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        start = datetime(2026, 3, 10, 2, tzinfo=UTC)
        file.write_text(str(int(start.timestamp() * 1_000_000) - SystemClock().now_us()))
    return ShiftedClock(int(file.read_text()))


def open_application(url: str, folder: Path, bank_url: str, dead_after_s: float = 2.0) -> tuple[Entrepot, HttpBank]:
    """An Entrepot of the campaign, not started, and its channel to the bank."""
    settings = load_settings({}, data_dir=folder, database_url=url, mqtt_port=0)
    application = Entrepot(settings, systems=[*installed_systems(), manifest, bells.manifest], clock=clock_of(folder))
    application.workflows = WorkflowRunner(
        application.database, application.executor, application.registry, application.clock,
        heartbeat_s=dead_after_s / 4, dead_after_s=dead_after_s,
    )  # fmt: skip
    channel = HttpBank(bank_url, timeout_s=0.6)
    use(channel)
    return application, channel


class Worker:
    """The application and what its callers do."""

    def __init__(self, url: str, folder: Path, bank_url: str, seed: int) -> None:
        self.application, _ = open_application(url, folder, bank_url)
        self.application.migrate()
        self.application.start_threads()
        self.cast = cast_of(self.application.executor, TENANT)
        self.journal = Journal(folder, seed)
        self.folder = folder
        self.seed = seed
        self.facilities: list[str] = []

    def prepare(self, *, measuring: bool = True) -> None:
        """Everything that a load needs; the same after every restart, by its fixed keys."""
        seed_parties(self.cast, "a long enough password")
        price = SetPrices(series=SERIES, prices=[PriceOfDay(day=self._yesterday(), value=PRICES[0])])
        self.application.executor.submit(price, self.cast.system("reference"), "crash:price", "region").result()
        seed_tank(self.cast, public_key(KEY), silence_s=86_400)
        if measuring:
            self.measure()
        self.cast.run("per_wang", GoodsIn(tank_id=TANK, owner=OWNER, quantity_kg=STOCK_KG), "crash:stock")
        self.facilities = [seed_facility(self.cast, number) for number in range(1, FACILITIES + 1)]

    def send_again(self) -> None:
        """What was left unanswered, and the last that was answered: both are told what became of it, once."""
        promises, _ = read(self.folder)
        known = list(promises.values())
        by_name = {operation.request.__name__: operation.request for operation in self.application.registry}
        for promise in [p for p in known if not p.answers] + [p for p in known if p.answers][-SENT_AGAIN:]:
            self.send(promise.person, by_name[promise.operation].model_validate_json(promise.body), promise.key)

    def send(self, person: str, request: Request[Any], key: str) -> Any:
        """Promise, send, note the answer; None when it was refused."""
        self.journal.write(">", key, person=person, operation=type(request).__name__, body=request.model_dump_json())
        outcome = self.application.executor.submit(request, self.cast.actor(person), key).result()
        self.journal.write("<", key, status=outcome.status, json=outcome.json)
        if outcome.status in {500, 503}:
            time.sleep(0.05)
        return outcome.answer

    def measure(self) -> None:
        """One reading of the gauge, acknowledged when it is committed."""
        telemetry, now_us = self.application.telemetry, self.application.clock.now_us()
        topic, seq = telemetry_topic(TENANT, DEVICE), telemetry.store.state(TENANT, DEVICE).last_seq + 1
        result = telemetry.ingest_now([(topic, encode(topic, seq, now_us, GAUGE, ED25519, KEY), now_us)])
        assert result.accepted == 1, result
        self.journal.write("~", str(seq))

    # --- what the callers do ---------------------------------------------------------------------------------------

    def deliver(self, chance: random.Random, key: str) -> None:
        """Goods leave and others come; some change hands under a receipt before."""
        kilograms = chance.randrange(1_000, 20_000)
        receipt = self.send("per_wang", IssueReceipt(tank_id=TANK, owner=OWNER, quantity_kg=kilograms), f"{key}-issue")
        if receipt is None:
            return
        owner, person = OWNER, "per_chen"
        if chance.random() < 0.5:
            request = TransferReceipt(receipt_id=receipt.id, new_owner="org_silu")
            if self.send("per_chen", request, f"{key}-transfer"):
                owner, person = "org_silu", "per_ma"
        if self.send(person, CancelReceipt(receipt_id=receipt.id), f"{key}-cancel"):
            out = GoodsOut(tank_id=TANK, owner=owner, quantity_kg=kilograms, delivery_order=key)
            if self.send("per_wang", out, f"{key}-out"):
                self.send("per_wang", GoodsIn(tank_id=TANK, owner=OWNER, quantity_kg=kilograms), f"{key}-in")

    def borrow(self, chance: random.Random, key: str) -> None:
        """Goods are receipted, pledged and lent on; some is repaid, or the pledge is released again."""
        kilograms = chance.randrange(1_000, 20_000)
        receipt = self.send("per_wang", IssueReceipt(tank_id=TANK, owner=OWNER, quantity_kg=kilograms), f"{key}-issue")
        if receipt is None:
            return
        facility = chance.choice(self.facilities)
        pledge = self.send("per_chen", PledgeGoods(facility_id=facility, receipt_id=receipt.id), f"{key}-pledge")
        if pledge is None:
            return
        if chance.random() < 0.2:
            self.send("per_li", ReleasePledge(pledge_id=pledge.id), f"{key}-release")
            return
        loan = self.send("per_chen", RequestLoan(facility_id=facility, amount=kilograms * 410), f"{key}-loan")
        if loan is not None:
            self.send("per_zhao", ApproveLoan(loan_id=loan.id), f"{key}-approve")
        if chance.random() < 0.4:
            self.send("per_chen", Repay(facility_id=facility, amount=kilograms * 10), f"{key}-repay")

    def price(self, chance: random.Random, key: str) -> None:
        """A new price, which subscriptions follow."""
        points = [PriceOfDay(day=self._yesterday(), value=chance.choice(PRICES))]
        self.send("per_he", SetPrices(series=SERIES, prices=points, confirm_jump=True, note="crash test"), key)

    def ring(self, chance: random.Random, key: str) -> None:
        """A timer that is due within a second or so, perhaps after the next worker has come."""
        self.send("per_chen", bells.SetBell(bell=key, after_ms=chance.randrange(0, 1_500)), key)

    def explain(self, chance: random.Random, key: str) -> None:
        """Book and gauge differ, as the stock is chosen: a case is opened, noted on and explained."""
        found = self.send("per_wang", Reconcile(tank_id=TANK), f"{key}-reconcile")
        if found is not None and found.case_id:
            self.send("per_wang", NoteOnCase(case_id=found.case_id, note=f"{key}-note"), f"{key}-note")
            explain = ActOnCase(case_id=found.case_id, action="explain", note=f"{key}-explain")
            self.send("per_wang", explain, f"{key}-explain")

    def call(self, number: int) -> None:
        """One caller, for ever."""
        chance = random.Random(self.seed * 1_000 + number)
        stories: list[Callable[[random.Random, str], None]] = [self.deliver, self.borrow, self.ring, self.explain]
        turn = 0
        while True:
            turn += 1
            key = f"{self.seed}-{number}-{turn}"
            if chance.random() < 0.06:
                self.price(chance, f"{key}-price")
            else:
                chance.choices(stories, (3, 5, 2, 1))[0](chance, key)

    def gauge(self) -> None:
        """Readings, for ever; after one that was not acknowledged the next is numbered by what the store has."""
        while True:
            try:
                self.measure()
            except Exception as error:  # noqa: BLE001 - the database is away for a while
                print("reading not kept:", repr(error)[:200], flush=True)
                time.sleep(0.1)
            time.sleep(0.01)

    def start(self, *, measuring: bool = True) -> None:
        """Start callers and gauge."""
        for number in range(CALLERS):
            threading.Thread(target=self.call, args=(number,), daemon=True).start()
        if measuring:
            threading.Thread(target=self.gauge, daemon=True).start()

    def _yesterday(self) -> Any:
        now = datetime.fromtimestamp(self.application.clock.now_us() / 1_000_000, REGION)
        return (now - timedelta(days=1)).date()


def work(url: str, folder: Path, bank_url: str, seed: int, ready: Any = None, measuring: bool = True) -> None:
    """Run a worker until it is killed; `ready` is a pipe's end that is told when the load begins.

    Where others work on the same data, only one may be `measuring`: the gauge is one device. That one sends again, too.
    """
    if ready is not None:  # a child of the test: its complaints are kept apart
        log = os.open(folder.parent / f"worker-{seed}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
    worker = Worker(url, folder, bank_url, seed)
    worker.prepare(measuring=measuring)
    if measuring:
        worker.send_again()
    worker.start(measuring=measuring)
    if ready is not None:
        ready.send("loaded")
    threading.Event().wait()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="A worker under load, to be killed.")
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--bank-url", required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    work(options.database_url, options.data_dir, options.bank_url, options.seed)


if __name__ == "__main__":
    main()
