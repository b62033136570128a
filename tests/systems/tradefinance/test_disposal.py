"""A disposal where something goes wrong: nobody takes goods or money beside it, and what is due comes to its end."""

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest

from entrepot.kernel.casework.operations import GetCase, ListCases
from entrepot.kernel.database import Scope
from entrepot.kernel.ledger import Ledger, verify
from entrepot.kernel.operations import Conflict, Forbidden
from entrepot.region.replay import World
from entrepot.systems.tradefinance.operations import ListPledges, PledgeGoods, ReleasePledge, Repay, RequestLoan
from entrepot.systems.tradefinance.queries import InstructionView, ListInstructions
from entrepot.systems.warehousing.contract import DisposeReceipt, GetReceipt, ReleaseReceipt
from entrepot.systems.warehousing.operations import GoodsIn, IssueReceipt
from entrepot.systems.warehousing.queries import ListReceipts
from tests.systems.conftest import Story

LOAN = 45_000_000_00
FALL = date(2008, 9, 15)
SOLD_AT = datetime(2008, 9, 25, tzinfo=UTC)  # past the call's deadline and the notice period
BUYER, BORROWER, LENDER = "org_exchange", "org_huanghe", "org_lanbank"


def fall(story: Story, price: int = 590_000) -> None:
    """The goods are pledged, the loan is drawn, and the price falls below the top-up line."""
    story.pledge()
    story.draw(LOAN)
    world = story.world
    world.move_to(datetime(FALL.year, FALL.month, FALL.day, 1, 5, tzinfo=UTC))
    world.read_gauge()
    world.price(FALL, price)


def instructed(story: Story, kind: str) -> list[InstructionView]:
    """The facility's instructions of a kind."""
    listed = story.world.cast.run("per_li", ListInstructions(facility_id=story.facility))
    return [instruction for instruction in listed.instructions if instruction.kind == kind]


def bank_that(**outcomes: str) -> Any:
    """A bank that answers by who pays: `org_exchange="pending"`; it confirms whatever is not named."""
    return lambda instruction: outcomes.get(instruction["debtor"], "confirmed")


def refused(code: str, world: World, person: str, request: Any) -> None:
    """Assert that somebody is refused with a code."""
    with pytest.raises((Conflict, Forbidden)) as refusal:
        world.cast.run(person, request)
    assert refusal.value.code == code


def sound(world: World) -> None:
    """The books hold."""
    assert verify(world.database, "lanzhou", world.clock.now_us()) == []


def test_the_bank_cannot_take_the_goods_without_notice_and_sale(story: Story):
    # Civil Code of the PRC, article 428: an agreement that the goods fall to the pledgee gives a right to be paid only.
    fall(story)
    world = story.world
    refused("permission/no-scope", world, "per_li", DisposeReceipt(
        receipt_id=story.receipt, buyer=LENDER, reference="mine now"
    ))  # fmt: skip
    refused("permission/no-scope", world, "per_li", ReleaseReceipt(receipt_id=story.receipt))
    assert world.cast.run("per_chen", GetReceipt(receipt_id=story.receipt)).owner == BORROWER


def test_what_is_on_sale_stays_as_it_was_offered(story: Story):
    fall(story)
    world, cast = story.world, story.world.cast
    cast.run("per_wang", GoodsIn(tank_id="tk-101", owner=BORROWER, quantity_kg=2_000_000))
    more = cast.run("per_wang", IssueReceipt(tank_id="tk-101", owner=BORROWER, quantity_kg=2_000_000)).id
    world.bank = bank_that(org_exchange="pending")
    world.move_to(SOLD_AT)
    world.read_gauge()
    assert [sale.state for sale in instructed(story, "sale")] == ["instructed"]
    refused("tradefinance/on-sale", world, "per_chen", PledgeGoods(facility_id=story.facility, receipt_id=more))
    refused("tradefinance/on-sale", world, "per_chen", RequestLoan(facility_id=story.facility, amount=1))
    (pledge,) = cast.run("per_li", ListPledges(facility_id=story.facility)).pledges
    owed = world.facility(story.facility)
    cast.run("per_chen", Repay(facility_id=story.facility, amount=owed.principal + owed.interest))
    world.settle()
    refused("tradefinance/on-sale", world, "per_li", ReleasePledge(pledge_id=pledge.id))
    world.bank = bank_that()
    world.settle()
    (sale,), (surplus,) = instructed(story, "sale"), instructed(story, "surplus")
    assert surplus.amount == sale.amount - sale.amount // 100, "all is repaid: only the costs are kept"
    assert cast.run("per_chen", GetReceipt(receipt_id=more)).state == "issued"
    bought = [r for r in cast.run("per_wang", ListReceipts()).receipts if r.owner == BUYER]
    assert [r.quantity_kg for r in bought] == [10_000_000], "the buyer has what it paid for"
    sound(world)


def test_a_sale_that_the_bank_refuses_is_offered_again(story: Story):
    fall(story)
    world, cast = story.world, story.world.cast
    world.bank = bank_that(org_exchange="failed")
    world.move_to(SOLD_AT)
    case = world.facility(story.facility).disposal_case
    assert cast.run("per_li", GetCase(case_id=case)).case.state == "noticed", "a new notice period runs"
    assert world.facility(story.facility).collateral_kg == 10_000_000
    world.bank = bank_that()
    world.move_to(SOLD_AT + timedelta(days=14))
    assert cast.run("per_li", GetCase(case_id=case)).case.state == "sold"
    assert world.facility(story.facility).collateral_kg == 0
    assert [sale.state for sale in instructed(story, "sale")][-1] == "confirmed"
    sound(world)


def test_between_two_offers_the_borrower_may_still_save_the_goods(story: Story):
    fall(story)
    world, cast = story.world, story.world.cast
    world.bank = bank_that(org_exchange="failed")
    world.move_to(SOLD_AT)
    case = world.facility(story.facility).disposal_case
    cast.run("per_chen", Repay(facility_id=story.facility, amount=LOAN // 2))
    world.settle()
    assert cast.run("per_li", GetCase(case_id=case)).case.state == "withdrawn"
    world.bank = bank_that()
    world.move_to(SOLD_AT + timedelta(days=14))
    assert world.facility(story.facility).collateral_kg == 10_000_000


def test_a_buyer_without_the_money_stops_nothing_for_ever(story: Story):
    fall(story)
    world, cast = story.world, story.world.cast
    cash = _spend(story, BUYER)
    world.move_to(SOLD_AT)
    at = world.facility(story.facility)
    assert (at.collateral_kg, instructed(story, "sale")) == (10_000_000, [])
    assert cast.run("per_li", GetCase(case_id=at.disposal_case)).case.state == "noticed"
    _earn(story, BUYER, cash)
    world.move_to(SOLD_AT + timedelta(days=14))
    assert world.facility(story.facility).collateral_kg == 0
    failed = world.executor.run(ListCases(), world.cast.system("casework"), "").cases
    assert [c for c in failed if c.type == "timer-failed"] == []
    sound(world)


def test_a_repayment_that_comes_after_the_sale_goes_back(story: Story):
    fall(story)
    world, cast = story.world, story.world.cast
    world.bank = bank_that(org_exchange="pending", org_huanghe="pending")
    world.move_to(SOLD_AT)
    late = LOAN // 10
    cast.run("per_chen", Repay(facility_id=story.facility, amount=late))
    world.bank = bank_that(org_huanghe="pending")
    world.settle()
    assert world.facility(story.facility).principal == 0, "the proceeds have paid it all"
    before = [surplus.amount for surplus in instructed(story, "surplus")]
    world.bank = bank_that()
    world.settle()
    after = [surplus.amount for surplus in instructed(story, "surplus")]
    assert sorted(after) == sorted([*before, late]), "at one instant of the clock there is no order among them"
    assert {surplus.state for surplus in instructed(story, "surplus")} == {"confirmed"}
    sound(world)


def test_a_surplus_that_did_not_arrive_is_paid_again(story: Story):
    fall(story)
    world = story.world
    world.bank = bank_that(org_lanbank="failed")
    world.move_to(SOLD_AT)
    tried = instructed(story, "surplus")
    assert {surplus.state for surplus in tried} == {"failed"}
    world.bank = bank_that()
    world.move_to(SOLD_AT + timedelta(days=14))
    states = [surplus.state for surplus in instructed(story, "surplus")]
    assert states[-1] == "confirmed"
    assert states.count("confirmed") == 1, "once"
    assert {surplus.amount for surplus in instructed(story, "surplus")} == {tried[0].amount}
    sound(world)


def test_a_slow_bank_does_not_cost_the_borrower_its_goods(story: Story):
    fall(story)
    world, cast = story.world, story.world.cast
    world.bank = bank_that(org_huanghe="pending")
    cast.run("per_chen", Repay(facility_id=story.facility, amount=LOAN // 2))
    world.move_to(SOLD_AT)
    assert instructed(story, "sale") == [], "the money that would cure it is on its way"
    world.bank = bank_that()
    world.settle()
    at = world.facility(story.facility)
    assert (at.level, at.disposal_case, at.collateral_kg) == ("ok", "", 10_000_000)
    sound(world)


def test_proceeds_below_the_debt_leave_a_deficiency_to_the_fen(story: Story):
    fall(story, 450_000)
    world = story.world
    notice = world.cast.run("per_li", GetCase(case_id=world.facility(story.facility).disposal_case)).case
    assert notice.due_at is not None
    world.move_to(SOLD_AT)
    (sale,) = instructed(story, "sale")
    assert sale.amount == 10_000_000 * 450_000 // 1000 * 9_500 // 10_000
    assert instructed(story, "surplus") == []
    at = world.facility(story.facility)
    # Costs 1 %, then all the interest, then principal (article 561): what is missing is principal, stays owed and bears
    # interest. Days run in the region, eight hours before UTC.
    sold, now = ((instant + timedelta(hours=8)).date() for instant in (notice.due_at, SOLD_AT))
    a_day = 10_000 * 360
    interest = LOAN * 720 * (sold - date(2008, 7, 3)).days // a_day
    assert at.principal == LOAN + interest - (sale.amount - sale.amount // 100)
    assert at.interest == at.principal * 720 * (now - sold).days // a_day
    assert at.collateral_kg == 0
    sound(world)


def _spend(story: Story, party: str) -> int:
    """Take all of a party's money; how much it was."""
    return _move(story, party, None)


def _earn(story: Story, party: str, amount: int) -> None:
    _move(story, party, amount)


def _move(story: Story, party: str, amount: int | None) -> int:
    """Post between a party and the issuer of money, as a bank statement would."""
    world = story.world
    with world.database.unit() as uow:
        uow.begin_operation()
        now_us = world.clock.now_us()
        scope = Scope(uow, "lanzhou", now_us, Random(1), lambda prefix: f"{prefix}_{now_us}", "bank", lambda *_: None)
        ledger = Ledger(scope)
        cash = ledger.account(party, "CNY")
        issue = ledger.account(LENDER, "CNY", "issue", may_go_negative=True)
        if amount is None:
            amount = ledger.balance(cash).available
            ledger.transfer(cash, issue, amount, reference="statement")
        else:
            ledger.transfer(issue, cash, amount, reference="statement")
    return amount
