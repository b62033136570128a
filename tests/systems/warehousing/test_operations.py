"""Goods and receipts on both databases: nothing is pledged twice, nothing is there that the gauge does not see."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest

from entrepot.kernel.ledger import verify
from entrepot.kernel.operations import Conflict, Forbidden, Outcome
from entrepot.region.plan import PEOPLE
from entrepot.region.replay import World
from entrepot.systems.tradefinance.agreements import OpenFacility, SignAgreement
from entrepot.systems.tradefinance.operations import PledgeGoods, ReleasePledge
from entrepot.systems.tradefinance.queries import GetFacility
from entrepot.systems.warehousing.contract import DisposeReceipt, GetReceipt, HoldReceipt, ReleaseReceipt
from entrepot.systems.warehousing.operations import (
    CancelReceipt,
    GoodsIn,
    GoodsOut,
    IssueReceipt,
    Reconcile,
    TransferReceipt,
)
from entrepot.systems.warehousing.queries import GetTank
from tests.systems.conftest import START, Story

TANK = "tk-101"


def refused(code: str, run) -> None:
    """Assert that a command is refused with a code."""
    with pytest.raises((Conflict, Forbidden)) as refusal:
        run()
    assert refusal.value.code == code


def test_goods_that_the_gauge_does_not_see_are_not_booked_in(world: World):
    refused(
        "warehousing/not-sensed",
        lambda: world.cast.run("per_wang", GoodsIn(tank_id=TANK, owner="org_huanghe", quantity_kg=14_000_000)),
    )
    assert world.cast.run("per_wang", GetTank(tank_id=TANK)).book_kg == 0


def test_a_silent_gauge_stops_goods_in_and_receipts(story: Story):
    world = story.world
    world.move_to(START + timedelta(hours=1))
    refused(
        "warehousing/gauge-stale",
        lambda: world.cast.run("per_wang", GoodsIn(tank_id=TANK, owner="org_huanghe", quantity_kg=1_000)),
    )
    refused("warehousing/gauge-stale", story.pledge)


def test_no_receipt_over_more_than_is_there(story: Story):
    world = story.world
    refused(
        "ledger/insufficient",
        lambda: world.cast.run("per_wang", IssueReceipt(tank_id=TANK, owner="org_huanghe", quantity_kg=1)),
    )
    world.read_gauge(level_mm=6_000)  # half of it was carried off
    refused("warehousing/not-sensed", story.pledge)


def test_pledged_goods_do_not_pass_the_gate(story: Story):
    story.pledge()
    refused(
        "warehousing/not-free",
        lambda: story.world.cast.run(
            "per_wang", GoodsOut(tank_id=TANK, owner="org_huanghe", quantity_kg=1, delivery_order="DO-1")
        ),
    )
    refused(
        "warehousing/receipt-state",
        lambda: story.world.cast.run("per_chen", CancelReceipt(receipt_id=story.receipt)),
    )


def test_the_same_receipt_pledged_by_fifty_at_once_is_pledged_once(story: Story):
    world = story.world
    actor = world.cast.actor("per_chen")

    def pledge(number: int) -> Outcome:
        request = PledgeGoods(facility_id=story.facility, receipt_id=story.receipt)
        return world.executor.submit(request, actor, f"race-{number}").result()

    with ThreadPoolExecutor(50) as pool:
        outcomes = list(pool.map(pledge, range(50)))
    assert sorted(outcome.status for outcome in outcomes) == [200] + [409] * 49
    receipt = world.cast.run("per_chen", GetReceipt(receipt_id=story.receipt))
    assert (receipt.state, receipt.quantity_kg) == ("pledged", 10_000_000)
    assert verify(world.database, "lanzhou", world.clock.now_us()) == []


def test_only_the_creditor_releases(story: Story):
    pledge = story.pledge()
    cast = story.world.cast
    refused("permission/no-relation", lambda: cast.run("per_sun", ReleasePledge(pledge_id=pledge)))
    refused("permission/no-scope", lambda: cast.run("per_chen", ReleasePledge(pledge_id=pledge)))
    cast.run("per_li", ReleasePledge(pledge_id=pledge))
    assert cast.run("per_chen", GetReceipt(receipt_id=story.receipt)).state == "issued"


def test_nobody_holds_releases_or_passes_goods_past_the_lending_system(story: Story):
    story.pledge()
    for person in PEOPLE:
        for request in (
            HoldReceipt(receipt_id=story.receipt, in_favour_of="org_xibank", reference="x"),
            ReleaseReceipt(receipt_id=story.receipt),
            DisposeReceipt(receipt_id=story.receipt, buyer="org_lanbank", reference="x"),
        ):
            refused("permission/no-scope", partial(story.world.cast.run, person.id, request))


def test_another_traders_receipt_is_not_mine_to_pledge(story: Story):
    cast = story.world.cast
    theirs = facility_of(story, "per_ma", "org_silu")
    refused(
        "permission/no-relation",
        lambda: cast.run("per_ma", PledgeGoods(facility_id=theirs, receipt_id=story.receipt)),
    )
    assert cast.run("per_chen", GetReceipt(receipt_id=story.receipt)).state == "issued"


def facility_of(story: Story, trader: str, borrower: str) -> str:
    """A facility of the second bank for a trader, signed by all three; its id."""
    cast = story.world.cast
    opened = cast.run(
        "per_sun",
        OpenFacility(lender="org_xibank", borrower=borrower, custodian="org_cangchu", disposal_buyer="org_exchange"),
    )
    for signer in ("per_sun", trader, "per_wang"):
        cast.run(signer, SignAgreement(facility_id=opened.id))
    return opened.id


def test_the_same_goods_pledged_to_two_banks_by_fifty_at_once_are_pledged_once(story: Story):
    world = story.world
    banks = [story.facility, facility_of(story, "per_chen", "org_huanghe")]
    actor = world.cast.actor("per_chen")

    def pledge(number: int) -> Outcome:
        request = PledgeGoods(facility_id=banks[number % 2], receipt_id=story.receipt)
        return world.executor.submit(request, actor, f"banks-{number}").result()

    with ThreadPoolExecutor(50) as pool:
        outcomes = list(pool.map(pledge, range(50)))
    assert sorted(outcome.status for outcome in outcomes) == [200] + [409] * 49
    receipt = world.cast.run("per_chen", GetReceipt(receipt_id=story.receipt))
    assert (receipt.state, receipt.quantity_kg) == ("pledged", 10_000_000)
    assert sum(world.cast.run("per_chen", GetFacility(facility_id=bank)).collateral_kg for bank in banks) == 10_000_000
    assert verify(world.database, "lanzhou", world.clock.now_us()) == []


def test_a_transferred_receipt_belongs_to_the_new_owner(story: Story):
    cast = story.world.cast
    cast.run("per_chen", TransferReceipt(receipt_id=story.receipt, new_owner="org_silu"))
    refused("permission/no-relation", lambda: cast.run("per_chen", CancelReceipt(receipt_id=story.receipt)))
    cancelled = cast.run("per_ma", CancelReceipt(receipt_id=story.receipt))
    assert (cancelled.state, cancelled.quantity_kg) == ("cancelled", 0)
    out = cast.run("per_wang", GoodsOut(tank_id=TANK, owner="org_silu", quantity_kg=10_000_000, delivery_order="DO-2"))
    assert out.book_kg == 0


def test_water_under_the_oil_becomes_one_case_for_custodian_and_creditor(story: Story):
    world = story.world
    story.pledge()
    world.read_gauge(level_mm=11_900, water_mm=4_000)
    first = world.cast.run("per_wang", Reconcile(tank_id=TANK))
    second = world.cast.run("per_wang", Reconcile(tank_id=TANK))
    assert not first.agrees
    assert first.case_id == second.case_id != ""
    from entrepot.kernel.casework.operations import ListCases

    for person in ("per_wang", "per_li"):
        assert first.case_id in [case.id for case in world.cast.run(person, ListCases()).cases], person
    assert first.case_id not in [case.id for case in world.cast.run("per_ma", ListCases()).cases]
