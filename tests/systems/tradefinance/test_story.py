"""A facility from pledge to release, and from pledge to disposal, on both databases."""

from datetime import UTC, date, datetime, timedelta

import pytest

from entrepot.kernel.casework.operations import GetCase, ListCases
from entrepot.kernel.ledger import verify
from entrepot.kernel.notices.operations import ListNotices
from entrepot.kernel.operations import Conflict, Forbidden, Invalid
from entrepot.kernel.reference import working_deadline
from entrepot.region.replay import World
from entrepot.region.seed import seed_facility
from entrepot.systems.tradefinance.agreements import RecordCertificate
from entrepot.systems.tradefinance.operations import (
    ApproveLoan,
    ListPledges,
    PledgeGoods,
    ReleasePledge,
    Repay,
    RequestLoan,
    SettleInstruction,
)
from entrepot.systems.tradefinance.queries import ListInstructions, ListLoans, ListValuations
from entrepot.systems.warehousing.contract import GetReceipt
from entrepot.systems.warehousing.operations import IssueReceipt
from entrepot.systems.warehousing.queries import ListReceipts
from tests.systems.conftest import Story

LOAN = 45_000_000_00


def on(world: World, day: date, value: int) -> None:
    """A trading day with its reading and price."""
    world.move_to(datetime(day.year, day.month, day.day, 1, 5, tzinfo=UTC))
    world.read_gauge()
    world.price(day, value)


def sound(world: World) -> None:
    """The books hold and nothing is owed that the ledger does not know."""
    assert verify(world.database, "lanzhou", world.clock.now_us()) == []


def test_from_pledge_to_release(story: Story):
    world, cast = story.world, story.world.cast
    pledge = story.pledge()
    story.draw(LOAN)
    at = world.facility(story.facility)
    assert (at.principal, at.interest, at.collateral_kg, at.ltv_bp) == (LOAN, 0, 10_000_000, 5_973)
    with pytest.raises(Conflict) as refusal:
        cast.run("per_li", ReleasePledge(pledge_id=pledge))
    assert refusal.value.code == "tradefinance/still-needed"
    assert cast.run("per_li", GetReceipt(receipt_id=story.receipt)).state == "pledged", "a refusal changes nothing"

    on(world, date(2008, 7, 8), 740_000)
    at = world.facility(story.facility)
    assert at.interest == LOAN * 720 * 5 // (10_000 * 360), "five days at 7.2 %"
    cast.run("per_chen", Repay(facility_id=story.facility, amount=at.principal + at.interest))
    with pytest.raises(Invalid) as refusal_again:
        cast.run("per_chen", Repay(facility_id=story.facility, amount=1))
    assert refusal_again.value.code == "tradefinance/more-than-owed", "what is on its way counts as paid"
    world.settle()
    at = cast.run("per_li", ReleasePledge(pledge_id=pledge))
    assert (at.principal, at.interest, at.collateral_kg) == (0, 0, 0)
    assert cast.run("per_chen", GetReceipt(receipt_id=story.receipt)).state == "issued"
    sound(world)


def test_the_price_falls_and_the_call_has_a_deadline_in_working_time(story: Story):
    world, cast = story.world, story.world.cast
    story.pledge()
    story.draw(LOAN)
    friday = date(2008, 9, 26)  # National Day is near: 27 and 28 September are worked, 29 September to 5 October not
    on(world, friday, 640_000)
    assert world.facility(story.facility).level == "warning"
    on(world, friday, 600_000)
    at = world.facility(story.facility)
    assert at.level == "top_up"
    case = cast.run("per_chen", GetCase(case_id=at.call_case)).case
    assert case.due_at == working_deadline(
        world.cast.run("per_chen", GetCase(case_id=at.call_case)).case.opened_at, hours=18
    )
    assert case.due_at > datetime(2008, 9, 28, tzinfo=UTC)
    assert case.id in [c.id for c in cast.run("per_li", ListCases()).cases], "the creditor sees it"
    assert case.id not in [c.id for c in cast.run("per_ma", ListCases()).cases], "another trader does not"
    kinds = {notice.kind for notice in cast.run("per_chen", ListNotices()).notices}
    assert {"warning", "margin_call"} <= kinds

    needed = case.data["needed"]
    cast.run("per_chen", Repay(facility_id=story.facility, amount=needed))
    world.settle()
    at = world.facility(story.facility)
    assert (at.level, at.call_case) == ("ok", "")
    assert cast.run("per_chen", GetCase(case_id=case.id)).case.state == "cured"
    sound(world)


def test_a_top_up_with_goods_cures_too(story: Story):
    world, cast = story.world, story.world.cast
    story.pledge()
    story.draw(LOAN)
    from entrepot.systems.warehousing.operations import GoodsIn

    cast.run("per_wang", GoodsIn(tank_id="tk-101", owner="org_huanghe", quantity_kg=2_500_000))
    more = cast.run("per_wang", IssueReceipt(tank_id="tk-101", owner="org_huanghe", quantity_kg=2_500_000))
    on(world, date(2008, 9, 15), 590_000)
    assert world.facility(story.facility).call_case
    cast.run("per_chen", PledgeGoods(facility_id=story.facility, receipt_id=more.id))
    at = world.facility(story.facility)
    assert (at.level, at.call_case, at.collateral_kg) == ("ok", "", 12_500_000)


def test_uncured_it_ends_in_a_sale_with_notice_and_an_exact_waterfall(story: Story):
    world, cast = story.world, story.world.cast
    story.pledge()
    story.draw(LOAN)
    on(world, date(2008, 9, 15), 590_000)
    called = world.facility(story.facility).call_case
    world.move_to(datetime(2008, 9, 25, tzinfo=UTC))  # past the call's deadline and the notice period
    assert cast.run("per_chen", GetCase(case_id=called)).case.state == "expired"
    at = world.facility(story.facility)
    sale = next(
        i for i in cast.run("per_li", ListInstructions(facility_id=story.facility)).instructions if i.kind == "sale"
    )
    assert sale.amount == 10_000_000 * 590_000 // 1000 * 9_500 // 10_000, "valuation less the agreed five per cent"
    assert (at.collateral_kg, at.principal, at.interest) == (0, 0, 0)
    surplus = [
        i for i in cast.run("per_li", ListInstructions(facility_id=story.facility)).instructions if i.kind == "surplus"
    ]
    days = (date(2008, 9, 25) - date(2008, 7, 3)).days
    costs = sale.amount // 100
    interest_most = LOAN * 720 * days // (10_000 * 360)
    assert surplus[0].creditor == "org_huanghe"
    assert sale.amount - costs - LOAN - interest_most <= surplus[0].amount <= sale.amount - costs - LOAN
    bought = cast.run("per_wang", ListReceipts()).receipts
    assert [r.owner for r in bought if r.state == "issued"] == ["org_exchange"]
    assert [p.state for p in cast.run("per_li", ListPledges(facility_id=story.facility)).pledges] == ["disposed"]
    sound(world)


def test_a_gap_through_all_three_lines_gives_notice_at_once(story: Story):
    world = story.world
    story.pledge()
    story.draw(LOAN)
    on(world, date(2008, 10, 10), 450_000)
    at = world.facility(story.facility)
    assert at.ltv_bp >= 10_000
    assert (at.level, at.call_case, bool(at.disposal_case)) == ("disposal", "", True)
    assert at.collateral_kg == 10_000_000, "the goods stay the owner's until they are sold"


def test_money_that_comes_before_the_sale_withdraws_it(story: Story):
    world, cast = story.world, story.world.cast
    story.pledge()
    story.draw(LOAN)
    on(world, date(2008, 10, 10), 500_000)
    disposal = world.facility(story.facility).disposal_case
    cast.run("per_chen", Repay(facility_id=story.facility, amount=20_000_000_00))
    world.settle()
    at = world.facility(story.facility)
    assert (at.level, at.disposal_case) == ("ok", "")
    assert cast.run("per_li", GetCase(case_id=disposal)).case.state == "withdrawn"
    world.move_to(datetime(2008, 10, 30, tzinfo=UTC))
    assert world.facility(story.facility).collateral_kg == 10_000_000


def test_nobody_approves_an_own_request_or_without_a_certificate(story: Story):
    world, cast = story.world, story.world.cast
    story.pledge()
    loan = cast.run("per_chen", RequestLoan(facility_id=story.facility, amount=LOAN))
    with pytest.raises(Forbidden):
        cast.run("per_chen", ApproveLoan(loan_id=loan.id))
    own = world.cast.actor("per_zhao")
    import dataclasses

    same_person = dataclasses.replace(own, id="per_chen")
    with pytest.raises(Forbidden) as refusal:
        world.executor.run(ApproveLoan(loan_id=loan.id), same_person, "own")
    assert refusal.value.code == "permission/own-approval"
    cast.run("per_li", RecordCertificate(facility_id=story.facility, certificate="QC-NOT-CLEAR", clear=False))
    with pytest.raises(Conflict) as uncertified:
        cast.run("per_zhao", ApproveLoan(loan_id=loan.id))
    assert uncertified.value.code == "tradefinance/no-certificate"


def test_more_than_the_advance_rate_is_refused(story: Story):
    story.pledge()
    with pytest.raises(Conflict) as refusal:
        story.world.cast.run("per_chen", RequestLoan(facility_id=story.facility, amount=46_000_000_00))
    assert refusal.value.code == "tradefinance/over-advance-rate"


def test_the_banks_answers_twice_late_and_otherwise_are_one_truth(story: Story):
    world, cast = story.world, story.world.cast
    story.pledge()
    loan = cast.run("per_chen", RequestLoan(facility_id=story.facility, amount=LOAN))
    approved = cast.run("per_zhao", ApproveLoan(loan_id=loan.id))
    system = world.cast.system("tradefinance")

    def answer(outcome: str, key: str) -> str:
        request = SettleInstruction(instruction_id=approved.instruction_id, outcome=outcome)
        return world.executor.run(request, system, key).state

    assert answer("confirmed", "a") == "confirmed"
    assert answer("confirmed", "b") == "confirmed", "the same answer again changes nothing"
    with pytest.raises(Conflict):
        answer("failed", "c")
    assert world.facility(story.facility).principal == LOAN
    sound(world)


def test_a_failed_payout_leaves_no_debt_and_no_hold(story: Story):
    world, cast = story.world, story.world.cast
    story.pledge()
    loan = cast.run("per_chen", RequestLoan(facility_id=story.facility, amount=LOAN))
    approved = cast.run("per_zhao", ApproveLoan(loan_id=loan.id))
    request = SettleInstruction(instruction_id=approved.instruction_id, outcome="failed")
    world.executor.run(request, world.cast.system("tradefinance"), "f")
    world.started.clear()  # the bank has answered this one
    assert world.facility(story.facility).principal == 0
    assert [loan.state for loan in cast.run("per_chen", ListLoans(facility_id=story.facility)).loans] == ["failed"]
    story.draw(LOAN)
    assert world.facility(story.facility).principal == LOAN


def test_two_facilities_do_not_share_a_receipt(story: Story):
    story.pledge()
    other = seed_facility(story.world.cast, 2)
    with pytest.raises(Conflict) as refusal:
        story.world.cast.run("per_chen", PledgeGoods(facility_id=other, receipt_id=story.receipt))
    assert refusal.value.code == "warehousing/receipt-state"


def test_valuations_tell_the_course(story: Story):
    world = story.world
    story.pledge()
    story.draw(LOAN)
    for number, price in enumerate((740_000, 700_000, 660_000)):
        on(world, date(2008, 7, 7) + timedelta(days=number), price)
    found = world.cast.run("per_li", ListValuations(facility_id=story.facility)).valuations
    assert [v.price for v in found][-3:] == [740_000, 700_000, 660_000]
    assert [v.ltv_bp for v in found][-3:] == sorted(v.ltv_bp for v in found[-3:])
