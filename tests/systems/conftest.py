"""The region on either database, with a clock that the test moves and a bank that the test plays."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from entrepot.kernel.database import Database
from entrepot.region.replay import World
from entrepot.region.seed import seed_facility, seed_parties, seed_prices, seed_tank
from entrepot.systems.tradefinance.operations import ApproveLoan, PledgeGoods, RequestLoan
from entrepot.systems.warehousing.operations import GoodsIn, IssueReceipt

START = datetime(2008, 7, 3, 2, 0, tzinfo=UTC)  # 10:00 in Lanzhou, the day of the highest price


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    """Parties, prices until 3 July 2008, a tank of 12.7 thousand tonnes and its gauge."""
    running = World(tmp_path, START, 1, database)
    seed_parties(running.cast, "a long enough password")
    seed_prices(running.cast, date(2008, 6, 20), date(2008, 7, 3))
    seed_tank(running.cast, running.device_key)
    running.read_gauge()
    yield running
    running.executor.stop()
    running.telemetry.close()


class Story:
    """The beginning that most tests share."""

    def __init__(self, world: World, kilograms: int = 10_000_000) -> None:
        self.world = world
        cast = world.cast
        cast.run("per_wang", GoodsIn(tank_id="tk-101", owner="org_huanghe", quantity_kg=kilograms))
        self.receipt = cast.run(
            "per_wang", IssueReceipt(tank_id="tk-101", owner="org_huanghe", quantity_kg=kilograms)
        ).id
        self.facility = seed_facility(cast)

    def pledge(self) -> str:
        """Pledge the receipt; the pledge's id."""
        return self.world.cast.run("per_chen", PledgeGoods(facility_id=self.facility, receipt_id=self.receipt)).id

    def draw(self, fen: int) -> None:
        """Draw a loan to the end: requested, approved, confirmed by the bank, booked."""
        loan = self.world.cast.run("per_chen", RequestLoan(facility_id=self.facility, amount=fen))
        self.world.cast.run("per_zhao", ApproveLoan(loan_id=loan.id))
        self.world.settle()


@pytest.fixture
def story(world: World) -> Story:
    """Goods in, a receipt over ten thousand tonnes, an active facility."""
    return Story(world)
