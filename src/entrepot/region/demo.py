"""The living demo: seeds the region, runs the gauge and the bank as processes, and lets the price take its course."""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from entrepot.kernel.banking import HttpBank, use
from entrepot.kernel.database.records import Record, Records, record
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import Answer, Conflict, Context, Refusal, Request
from entrepot.kernel.reference import REGION
from entrepot.kernel.reference.brent import BRENT_CNY, brent_yuan_per_tonne
from entrepot.kernel.reference.operations import PriceOfDay, SetPrices
from entrepot.kernel.things.message import public_key
from entrepot.region.plan import DEMO_PASSWORD, DEVICE, TANK
from entrepot.region.seed import Cast, cast_of, seed_facility, seed_parties, seed_tank
from entrepot.systems.warehousing.operations import GoodsIn, IssueReceipt
from entrepot.systems.warehousing.queries import GetTank

if TYPE_CHECKING:
    from entrepot.app import Entrepot

log = logging.getLogger(__name__)
FIRST_DAY, LAST_DAY = date(2008, 6, 2), date(2009, 3, 31)
START_DAY = date(2008, 7, 3)  # the highest price of the year: 143.95 dollars a barrel
GAUGE_WAIT_S = 30


@record("region_demo")
class DemoState(Record):
    """How far the replayed price has come: an ISO day of 2008 or 2009."""

    id: str
    day: str


class PriceAdvanced(Answer):
    """The price that holds now, in fen per tonne, and the historical day that it comes from."""

    series: str
    historical_day: date
    value: int


class AdvancePrice(Request[PriceAdvanced]):
    """Let the replayed Brent price of 2008 move on by some trading days; it becomes today's price."""

    days: int = Field(1, ge=1, le=60, description="Trading days")


@AdvancePrice.command(
    "region.advance_price",
    http="POST /price",
    scope="region:demo",
    title=("Next trading day", "下一交易日"),
    subject="series",
    example={"days": 1},
)
def advance_price(ctx: Context, request: AdvancePrice) -> PriceAdvanced:
    """Recorded like any other price, with the day that it was true on as its note."""
    states = Records(ctx.uow, ctx.tenant, DemoState)
    state = states.find("price") or DemoState(id="price", day=START_DAY.isoformat())
    path = brent_yuan_per_tonne(date.fromisoformat(state.day) + timedelta(days=1), LAST_DAY)
    if not path:
        raise Conflict("region/path-ended", f"The replayed path ends on {LAST_DAY}.")
    day, value = path[min(request.days, len(path)) - 1]
    today = ctx.now.astimezone(REGION).date()
    ctx.call(
        SetPrices(
            series=BRENT_CNY.id,
            prices=[PriceOfDay(day=today, value=value)],
            confirm_jump=True,
            note=f"Brent of {day}, replayed",
        )
    )
    states.put(DemoState(id="price", day=day.isoformat()))
    return PriceAdvanced(series=BRENT_CNY.id, historical_day=day, value=value)


@contextlib.asynccontextmanager
async def demo(application: "Entrepot") -> AsyncIterator[None]:
    """Open while the server runs: children are started first and ended last."""
    folder = application.settings.data_dir / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    loop = asyncio.get_running_loop()
    processes: list[subprocess.Popen[str]] = []
    preparing = loop.run_in_executor(None, _prepare, application, folder, processes)
    preparing.add_done_callback(_report)
    try:
        yield
    finally:
        await asyncio.wait([preparing], timeout=5)
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()


def _report(done: "asyncio.Future[None]") -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.error("the demo region could not be prepared", exc_info=error)


def _prepare(application: "Entrepot", folder: Path, processes: list["subprocess.Popen[str]"]) -> None:
    cast = cast_of(application.executor, application.settings.tenant)
    use(HttpBank(application.settings.bank_url or _start_bank(folder, processes)))
    seed_parties(cast, DEMO_PASSWORD)
    seed_demo_prices(cast, application.clock.now_us())
    key_file = folder / "gauge.key"
    if not key_file.exists():
        with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(os.urandom(32))
    seed_tank(cast, public_key(key_file.read_bytes()))
    _start_gauge(application, folder, key_file, processes)
    seed_facility(cast)
    _first_goods(application, cast)


def seed_demo_prices(cast: Cast, now_us: int) -> None:
    """A month of prices before today, from the month before the path begins: the chart has a past."""
    today = from_us(now_us).astimezone(REGION).date()
    past = brent_yuan_per_tonne(FIRST_DAY, START_DAY)[-20:]
    points = [
        PriceOfDay(day=today - timedelta(days=len(past) - 1 - place), value=value)
        for place, (_, value) in enumerate(past)
    ]
    request = SetPrices(series=BRENT_CNY.id, prices=points, confirm_jump=True, note="Brent of June 2008, replayed")
    # On a later start the key is known: the price stays where the replay has brought it.
    outcome = cast.executor.submit(request, cast.system("reference"), "region:demo-prices", "region").result()
    if outcome.status not in {200, 409}:
        outcome.result()


def _first_goods(application: "Entrepot", cast: Cast) -> None:
    deadline = time.monotonic() + GAUGE_WAIT_S
    while application.telemetry.store.latest(application.settings.tenant, DEVICE) is None:
        if time.monotonic() > deadline:
            log.warning("the demo's gauge has not reported; goods are booked in when the demo starts again")
            return
        time.sleep(0.2)
    try:
        tank = cast.run("per_wang", GetTank(tank_id=TANK))
        if tank.book_kg == 0 and tank.sensed_kg:
            whole = tank.sensed_kg // 10_000 * 10_000
            goods = GoodsIn(tank_id=TANK, owner="org_huanghe", quantity_kg=whole)
            cast.run("per_wang", goods, "region:demo-goods")
        for number, kilograms in enumerate((8_000_000, 2_000_000)):
            receipt = IssueReceipt(tank_id=TANK, owner="org_huanghe", quantity_kg=kilograms)
            cast.run("per_wang", receipt, f"region:demo-receipt:{number}")
    except Refusal as refusal:
        log.warning("the demo's first goods: %s", refusal)


def _start_bank(folder: Path, processes: list["subprocess.Popen[str]"]) -> str:
    process = subprocess.Popen(
        [sys.executable, "-m", "entrepot.region.bank", "--store", str(folder / "bank.db"), "--delay", "1.0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    processes.append(process)
    assert process.stdout is not None
    line = process.stdout.readline()
    return f"http://127.0.0.1:{int(line.split()[-1])}"


def _start_gauge(
    application: "Entrepot", folder: Path, key_file: Path, processes: list["subprocess.Popen[str]"]
) -> None:
    command = [sys.executable, "-m", "entrepot.region.gauge", "--tenant", application.settings.tenant]
    command += ["--device", DEVICE, "--key", str(key_file), "--store", str(folder / "gauge.db"), "--period", "2"]
    command += ["--mqtt", "-", "--until-eof"]  # the address holds a password: not for the list of processes
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    processes.append(process)
    assert process.stdin is not None
    process.stdin.write(application.telemetry.device_url(DEVICE) + "\n")
    process.stdin.flush()
