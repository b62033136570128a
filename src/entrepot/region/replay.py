"""Replaying the region over real prices: the same commands, a moved clock, no network, no DBOS, the same output twice.

A trader pledges oil at the peak of 2008, draws what the advance rate allows and spends it. Each trading day brings a
gauge reading and a price; calls and disposals follow from the timers. The trader answers margin calls while its reserve
lasts, and repays at the end what it can.
"""

import hashlib
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from entrepot.kernel.database import Database, Scope, open_database
from entrepot.kernel.documents import Documents, Store
from entrepot.kernel.operations import Executor, ManualClock, Refusal, Request, Runtime
from entrepot.kernel.reference import REGION
from entrepot.kernel.reference.brent import BRENT_CNY, brent_usd_per_barrel, brent_yuan_per_tonne
from entrepot.kernel.reference.operations import PriceOfDay, SetPrices
from entrepot.kernel.signing import Keyring, LocalKey, Signing
from entrepot.kernel.things.books import DeviceBooks, book_sources
from entrepot.kernel.things.message import ED25519, encode, public_key, telemetry_topic
from entrepot.kernel.things.telemetry import Telemetry
from entrepot.kernel.timers.firing import fire_with
from entrepot.kernel.timers.runner import TimerRunner
from entrepot.kernel.vault import Vault
from entrepot.region.plan import DEMO_PASSWORD, DEVICE, TANK
from entrepot.region.seed import Cast, cast_of, manifest, seed_facility, seed_parties, seed_prices, seed_tank
from entrepot.systems import build_registry, installed_systems
from entrepot.systems.tradefinance.contract import FacilityView
from entrepot.systems.tradefinance.monitoring import Revalue
from entrepot.systems.tradefinance.operations import (
    ApproveLoan,
    ListPledges,
    PledgeGoods,
    ReleasePledge,
    Repay,
    RequestLoan,
    SettleInstruction,
)
from entrepot.systems.tradefinance.queries import GetFacility, ListInstructions
from entrepot.systems.warehousing.operations import GoodsIn, IssueReceipt

TENANT = "lanzhou"
TANK_KG = 12_600_000
SPARK = "▁▂▃▄▅▆▇█"


@dataclass(slots=True)
class ReplayWorkflows:
    """Stands where DBOS stands: remembers what was started, so that the replay itself plays the bank."""

    started: list[dict[str, Any]]

    def start(self, name: str, arguments: dict[str, Any], workflow_id: str) -> None:
        """Remember an instruction."""
        self.started.append({"name": name, "id": workflow_id, **arguments})

    def signal(self, workflow_id: str, topic: str, message: dict[str, Any]) -> None:
        """Nobody waits in a replay."""


@dataclass(slots=True)
class Course:
    """What happened to one facility."""

    facility: str
    drawn: int
    reserve: int
    calls: int = 0
    cured: int = 0
    disposals: int = 0
    releases: int = 0
    repaid: int = 0
    loss: int = 0
    ltv: list[int] = field(default_factory=list)
    lines: list[tuple[date, int, int, str]] = field(default_factory=list)
    open_call: str = ""
    open_disposal: str = ""


class World:
    """The assembled region in a temporary folder."""

    def __init__(self, folder: Path, start: datetime, seed: int, database: Database | None = None) -> None:
        self.clock = ManualClock(start)
        registry = build_registry([*installed_systems(), manifest])
        self.database = database or open_database(f"sqlite:///{folder / 'replay.db'}", durable=False)
        self.database.create_all()
        self.started: list[dict[str, Any]] = []
        self.bank: Callable[[dict[str, Any]], str] = lambda instruction: "confirmed"
        keyring, signer, store = (
            Keyring(b"\1" * 32, entropy=Random(seed).randbytes),
            LocalKey("ed25519", b"\2" * 32),
            Store(folder / "documents"),
        )
        telemetry_db = f"sqlite:///{folder / 'telemetry.db'}"
        books = DeviceBooks(self.database, TENANT, book_sources(registry))
        self.telemetry = Telemetry(
            self.database, self.clock, TENANT, telemetry_db, broker_secret=b"-", books=books, durable=False
        )
        runtime = Runtime(
            self.database,
            registry,
            self.clock,
            make_workflows=self._workflows,
            make_documents=lambda scope: Documents(scope, store),
            make_vault=lambda scope: Vault(scope, keyring),
            make_signing=lambda scope: Signing(scope, signer, keyring),
            make_things=self.telemetry.things,
        )
        self.executor = Executor(runtime, seed=seed).start()
        self.timers = TimerRunner(self.database, self.clock.now_us, fire_with(self.executor))
        self.cast: Cast = cast_of(self.executor, TENANT)
        self._key = hashlib.sha256(b"replayed gauge").digest()
        self._seq = 0

    def _workflows(self, scope: Scope) -> ReplayWorkflows:
        started: list[dict[str, Any]] = []
        scope.uow.on_commit(lambda: self.started.extend(started))
        return ReplayWorkflows(started)

    def close(self) -> None:
        """Stop the executor and close the files."""
        self.executor.stop()
        self.telemetry.close()
        self.database.close()

    @property
    def device_key(self) -> bytes:
        """The gauge's public key."""
        return public_key(self._key)

    def read_gauge(self, level_mm: float = 11_900.0, water_mm: float = 15.0) -> None:
        """A reading of the tank, almost full by default, through the ingest that MQTT uses."""
        self._seq += 1
        now_us, topic = self.clock.now_us(), telemetry_topic(TENANT, DEVICE)
        values = {"level_mm": level_mm, "temperature_c": 20.0, "density_kg_m3": 851.0, "water_mm": water_mm}
        payload = encode(topic, self._seq, now_us, values, ED25519, self._key)
        taken = self.telemetry.ingest_now([(topic, payload, now_us)])
        assert taken.accepted == 1, f"the replayed reading was refused: {taken.refused}"

    def settle(self) -> None:
        """The bank answers what was instructed: it confirms, unless `bank` says "failed", "returned" or "pending"."""
        waiting = []
        while self.started:
            instruction = self.started.pop(0)
            outcome = self.bank(instruction)
            if outcome == "pending":
                waiting.append(instruction)
                continue
            request = SettleInstruction(instruction_id=instruction["id"], outcome=outcome, bank_reference="replayed")
            self._system("tradefinance", request, f"settle:{instruction['id']}")
        self.started.extend(waiting)

    def move_to(self, instant: datetime) -> None:
        """Move the clock, firing every timer on the way at its own time."""
        target = int(instant.timestamp() * 1_000_000)
        while (due := self.timers.next_due_us()) is not None and due <= target:
            self.clock.move_to_us(due)
            self.timers.run_due()
            self.settle()
        self.clock.move_to_us(target)

    def price(self, day: date, value: int) -> None:
        """The day's price, and what follows from it."""
        request = SetPrices(
            series=BRENT_CNY.id, prices=[PriceOfDay(day=day, value=value)], confirm_jump=True, note="replay"
        )
        self.cast.run("per_he", request, f"price:{day}:{value}")
        self._system("tradefinance", Revalue(series=BRENT_CNY.id), f"revalue:{day}:{value}")
        self.settle()

    def _system(self, name: str, request: Request[Any], key: str) -> None:
        self.executor.run(request, self.cast.system(name), key, "replay")

    def facility(self, facility_id: str) -> FacilityView:
        """A facility now."""
        return self.cast.run("per_li", GetFacility(facility_id=facility_id))


def replay_region(first: date, last: date, *, facilities: int, seed: int, console: Console) -> list[Course]:
    """Replay and print; what happened to each facility. Raises Refusal where prices or calendars are missing."""
    path = brent_yuan_per_tonne(first, last)
    if not path:
        raise Refusal(
            "replay/no-prices", f"There is no Brent price between {first} and {last} (1999 to 2019 are known)."
        )
    random = Random(seed)
    with tempfile.TemporaryDirectory(prefix="entrepot-replay-") as folder:
        world = World(Path(folder), _at(path[0][0] - timedelta(days=1), time(9)), seed)
        with closing(world):
            seed_parties(world.cast, DEMO_PASSWORD)
            seed_prices(world.cast, path[0][0] - timedelta(days=10), path[0][0] - timedelta(days=1))
            seed_tank(world.cast, world.device_key)
            courses = _begin(world, path[0], facilities, random)
            _run(world, path, courses, console)
            _finish(world, courses)
    _print(console, courses, path)
    return courses


def _begin(world: World, opening: tuple[date, int], count: int, random: Random) -> list[Course]:
    world.move_to(_at(opening[0], time(9, 30)))
    world.read_gauge()
    world.price(*opening)
    share = TANK_KG // count // 1000 * 1000
    courses = []
    for number in range(1, count + 1):
        world.cast.run("per_wang", GoodsIn(tank_id=TANK, owner="org_huanghe", quantity_kg=share), f"in:{number}")
        receipt = world.cast.run(
            "per_wang", IssueReceipt(tank_id=TANK, owner="org_huanghe", quantity_kg=share), f"receipt:{number}"
        )
        facility_id = seed_facility(world.cast, number)
        world.cast.run("per_chen", PledgeGoods(facility_id=facility_id, receipt_id=receipt.id), f"pledge:{number}")
        limit = world.facility(facility_id).limit
        drawn = limit if count == 1 else limit * random.randint(45, 100) // 100
        loan = world.cast.run("per_chen", RequestLoan(facility_id=facility_id, amount=drawn), f"loan:{number}")
        world.cast.run("per_zhao", ApproveLoan(loan_id=loan.id), f"approve:{number}")
        world.settle()
        reserve = drawn * (25 if count == 1 else random.randint(0, 60)) // 100
        courses.append(Course(facility_id, drawn, reserve))
    return courses


def _run(world: World, path: list[tuple[date, int]], courses: list[Course], console: Console) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Replaying", total=len(path))
        for day, value in path:
            world.move_to(_at(day, time(9, 5)))
            world.read_gauge()
            world.move_to(_at(day, time(10)))
            world.price(day, value)
            for course in courses:
                _follow(world, course, day, value)
            progress.update(task, advance=1, description=f"Replaying {day}")


def _follow(world: World, course: Course, day: date, price: int) -> None:
    at = world.facility(course.facility)
    if at.collateral_kg:
        course.ltv.append(at.ltv_bp)
    note: Callable[[str], None] = lambda text: course.lines.append((day, price, at.ltv_bp or course.ltv[-1], text))  # noqa: E731
    if at.call_case and at.call_case != course.open_call:
        course.open_call = at.call_case
        course.calls += 1
        needed = max(0, at.principal + at.interest - at.limit)
        if needed <= course.reserve:
            world.cast.run("per_chen", Repay(facility_id=course.facility, amount=needed), f"cure:{at.call_case}")
            course.reserve -= needed
            course.repaid += needed
            course.cured += 1
            world.settle()
            note(f"margin call, cured with {_yuan(needed)}")
        else:
            note(f"margin call for {_yuan(needed)}; the reserve is {_yuan(course.reserve)}")
    if at.disposal_case and at.disposal_case != course.open_disposal:
        course.open_disposal = at.disposal_case
        note("notice of disposal")
    if not at.collateral_kg and course.open_disposal and not course.disposals:
        course.disposals = 1
        course.loss = at.principal + at.interest
        sold = [i for i in _instructions(world, course) if i.kind == "sale"]
        note(f"sold for {_yuan(sum(i.amount for i in sold))}; still owed {_yuan(course.loss)}")


def _instructions(world: World, course: Course) -> list[Any]:
    return list(world.cast.run("per_li", ListInstructions(facility_id=course.facility)).instructions)


def _finish(world: World, courses: list[Course]) -> None:
    """Who still has goods pledged and the money repays, and gets them back."""
    for course in courses:
        at = world.facility(course.facility)
        owed = at.principal + at.interest
        if not at.collateral_kg or at.disposal_case:
            continue
        if owed:
            world.cast.run("per_chen", Repay(facility_id=course.facility, amount=owed), f"final:{course.facility}")
            world.settle()
            course.repaid += owed
        for pledge in world.cast.run("per_li", ListPledges(facility_id=course.facility)).pledges:
            if pledge.state == "active":
                world.cast.run("per_li", ReleasePledge(pledge_id=pledge.id), f"release:{pledge.id}")
                course.releases += 1


def _print(console: Console, courses: list[Course], path: list[tuple[date, int]]) -> None:
    dollars = brent_usd_per_barrel()
    low = min(path, key=lambda point: point[1])
    console.print(
        f"Brent {path[0][0]} {dollars[path[0][0]] / 100:.2f} USD/bbl, lowest {low[0]} {dollars[low[0]] / 100:.2f}, "
        f"{path[-1][0]} {dollars[path[-1][0]] / 100:.2f} (proxy: {BRENT_CNY.proxy})"
    )
    if len(courses) == 1:
        table = Table("day", "CNY/t", "LTV", "what happened", title="The facility, day by day")
        for day, price, ltv, text in courses[0].lines:
            table.add_row(str(day), f"{price / 100:,.2f}", f"{ltv / 100:.2f} %", text)
        console.print(table)
    summary = Table("facility", "drawn", "calls", "cured", "sold", "released", "repaid", "loss", "LTV", title="Outcome")
    for number, course in enumerate(courses, start=1):
        summary.add_row(
            str(number), _yuan(course.drawn), str(course.calls), str(course.cured), str(course.disposals),
            str(course.releases), _yuan(course.repaid), _yuan(course.loss), spark(course.ltv),
        )  # fmt: skip
    console.print(summary)
    total = sum(course.loss for course in courses)
    console.print(
        f"Facilities: {len(courses)}, {sum(c.calls for c in courses)} margin calls, "
        f"{sum(c.cured for c in courses)} cured, "
        f"{sum(c.disposals for c in courses)} sold, {sum(c.releases for c in courses)} receipts released, "
        f"loss {_yuan(total)}"
    )


def spark(values: list[int], width: int = 24) -> str:
    """A line of blocks: the course of a figure, 50 % to 100 % in basis points."""
    if not values:
        return ""
    picked = [values[place * (len(values) - 1) // max(1, width - 1)] for place in range(min(width, len(values)))]
    return "".join(SPARK[min(7, max(0, (value - 5_000) * 8 // 5_000))] for value in picked)


def _yuan(fen: int) -> str:
    return f"¥{fen // 100:,}.{fen % 100:02d}"


def _at(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, REGION).astimezone(UTC)
