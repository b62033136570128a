"""A worker under load, to be killed: `python -m tests.crash.worker URL FOLDER BANK SEED`.

It keeps a journal beside the database. A line `>` names a command's key before it is sent, a line `<` its answer; each
is on the disk before the worker goes on, so that the journal is the truth about what was promised.
"""

import json
import os
import random
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from entrepot.app import Entrepot, installed_systems
from entrepot.kernel.banking import HttpBank, use
from entrepot.kernel.operations import Request
from entrepot.kernel.reference import REGION
from entrepot.kernel.reference.operations import PriceOfDay, SetPrices
from entrepot.kernel.things.message import ED25519, encode, public_key, telemetry_topic
from entrepot.region.plan import DEVICE, TANK
from entrepot.region.seed import cast_of, manifest, seed_facility, seed_parties, seed_tank
from entrepot.settings import load_settings
from entrepot.systems.tradefinance.operations import ApproveLoan, PledgeGoods, Repay, RequestLoan
from entrepot.systems.warehousing.operations import CancelReceipt, GoodsIn, GoodsOut, IssueReceipt

KEY = b"the gauge key of the crash test!"
CALLERS = 4
FACILITIES = 3


class Journal:
    """Promises on the disk."""

    def __init__(self, file: Path) -> None:
        self._out = file.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, kind: str, key: str, **more: Any) -> None:
        """One line, durable when this returns."""
        with self._lock:
            self._out.write(json.dumps({"kind": kind, "key": key, **more}, ensure_ascii=False) + "\n")
            self._out.flush()
            os.fsync(self._out.fileno())


class Worker:
    """The application and what its callers do."""

    def __init__(self, url: str, folder: Path, bank: str, seed: int) -> None:
        settings = load_settings({}, data_dir=folder, database_url=url, mqtt_port=0)
        self.application = Entrepot(settings, systems=[*installed_systems(), manifest])
        self.application.migrate()
        use(HttpBank(bank, timeout_s=2))
        self.application.start_threads()
        self.cast = cast_of(self.application.executor, "lanzhou")
        self.journal = Journal(folder / "journal.jsonl")
        self.seed = seed

    def prepare(self) -> list[str]:
        """Everything that a load needs; the same after every restart, by its fixed keys."""
        seed_parties(self.cast, "a long enough password")
        now_us = self.application.clock.now_us()
        today = datetime.fromtimestamp(now_us / 1_000_000, REGION).date()
        price = SetPrices(series="brent-cny-t", prices=[PriceOfDay(day=today - timedelta(days=1), value=700_000)])
        self.application.executor.submit(price, self.cast.system("reference"), "crash:price").result()
        seed_tank(self.cast, public_key(KEY), silence_s=86_400)
        topic = telemetry_topic("lanzhou", DEVICE)
        values = {"level_mm": 11_900.0, "temperature_c": 20.0, "density_kg_m3": 851.0, "water_mm": 15.0}
        state = self.application.telemetry.store.state("lanzhou", DEVICE)
        payload = encode(topic, state.last_seq + 1, now_us, values, ED25519, KEY)
        self.application.telemetry.ingest_now([(topic, payload, now_us)])
        stock = GoodsIn(tank_id=TANK, owner="org_huanghe", quantity_kg=12_000_000)
        self.cast.run("per_wang", stock, "crash:stock")
        return [seed_facility(self.cast, number) for number in range(1, FACILITIES + 1)]

    def send(self, person: str, request: Request[Any], key: str) -> Any:
        """Promise, send, note the answer; None when it was refused."""
        self.journal.write(">", key, person=person, operation=type(request).__name__, body=request.model_dump_json())
        actor = self.cast.actor(person)
        outcome = self.application.executor.submit(request, actor, key).result()
        self.journal.write("<", key, status=outcome.status, json=outcome.json)
        return outcome.answer

    def story(self, facilities: list[str], chance: random.Random, key: str) -> None:
        """Goods that are receipted, pledged and lent on, or let go again."""
        kilograms = chance.randrange(1_000, 20_000)
        receipt = self.send("per_wang", _issue(kilograms), f"{key}-issue")
        if receipt is None:
            return
        if chance.random() < 0.3:
            if self.send("per_chen", CancelReceipt(receipt_id=receipt.id), f"{key}-cancel"):
                out = GoodsOut(tank_id=TANK, owner="org_huanghe", quantity_kg=kilograms, delivery_order=key)
                self.send("per_wang", out, f"{key}-out")
                back = GoodsIn(tank_id=TANK, owner="org_huanghe", quantity_kg=kilograms)
                self.send("per_wang", back, f"{key}-back")
            return
        facility = chance.choice(facilities)
        pledge = PledgeGoods(facility_id=facility, receipt_id=receipt.id)
        if self.send("per_chen", pledge, f"{key}-pledge") is None:
            return
        loan = self.send("per_chen", RequestLoan(facility_id=facility, amount=kilograms * 100), f"{key}-loan")
        if loan is not None:
            self.send("per_zhao", ApproveLoan(loan_id=loan.id), f"{key}-approve")
        if chance.random() < 0.5:
            self.send("per_chen", Repay(facility_id=facility, amount=kilograms * 10), f"{key}-repay")

    def load(self) -> None:
        """Callers until the process is killed."""
        facilities = self.prepare()
        print("loaded", flush=True)

        def call(number: int) -> None:
            chance = random.Random(self.seed * 1_000 + number)
            turn = 0
            while True:
                turn += 1
                self.story(facilities, chance, f"{self.seed}-{number}-{turn}")

        callers = [threading.Thread(target=call, args=(number,), daemon=True) for number in range(CALLERS)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()


def _issue(kilograms: int) -> IssueReceipt:
    return IssueReceipt(tank_id=TANK, owner="org_huanghe", quantity_kg=kilograms)


if __name__ == "__main__":
    Worker(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])).load()
