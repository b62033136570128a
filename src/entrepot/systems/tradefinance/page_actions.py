"""What each party does on the page of a facility: the buttons and their dialogs."""

from functools import partial

from nicegui import ui

from entrepot.console.desk import Desk
from entrepot.console.forms import Ask, action, ask_and_do
from entrepot.console.widgets import money, tonnes
from entrepot.systems.tradefinance.agreements import RecordCertificate, RegisterInterest, SignAgreement
from entrepot.systems.tradefinance.contract import FacilityView, LoanView
from entrepot.systems.tradefinance.operations import (
    ApproveLoan,
    PledgeGoods,
    PledgeView,
    ReleasePledge,
    Repay,
    RequestLoan,
)


def actions(desk: Desk, facility: FacilityView) -> None:
    """The buttons of what the actor's party may do with the facility."""
    party = desk.actor.party
    with ui.element("div").classes("actions"):
        if facility.state == "drafted" and party not in facility.signed_by:
            action(desk, "tradefinance.sign_agreement", lambda: _sign(desk, facility), primary=True)
        if party == facility.borrower and facility.state == "active":
            action(desk, "tradefinance.pledge", lambda: _pledge(desk, facility), primary=True)
            action(desk, "tradefinance.request_loan", lambda: _request(desk, facility))
            if facility.principal + facility.interest:
                action(desk, "tradefinance.repay", lambda: _repay(desk, facility))
        if party == facility.lender:
            if not facility.certificate:
                action(desk, "tradefinance.record_certificate", lambda: _certify(desk, facility))
            if not facility.registration:
                action(desk, "tradefinance.register_interest", lambda: _register(desk, facility))


def _sign(desk: Desk, facility: FacilityView) -> None:
    ask_and_do(
        desk,
        ("Sign custody agreement", "签署监管协议"),
        [],
        lambda _: SignAgreement(facility_id=facility.id),
        explain=("You sign for your party; the third signature makes it active.", "代表本机构签署，三方签署后生效。"),
        done=("Signed.", "已签署。"),
    )


async def _pledge(desk: Desk, facility: FacilityView) -> None:
    mine = await _own_receipts(desk)
    if not mine:
        with desk.client.content:
            text = ("You have no receipt in state issued.", "没有可质押的仓单。")
            ui.notify(desk.t(text), type="warning", position="bottom-right")
        return
    lender = desk.party(facility.lender)
    ask_and_do(
        desk,
        ("Pledge goods", "办理质押"),
        [Ask("receipt_id", ("Receipt", "仓单"), "choice", choices=mine)],
        lambda v: PledgeGoods(facility_id=facility.id, **v),
        explain=(
            f"The goods of the receipt are pledged to {lender}; they cannot be moved or pledged again.",
            f"仓单项下货物质押给{lender}，期间不得出库或再次质押。",
        ),
        confirm=("Pledge", "确认质押"),
        done=("Pledged.", "已质押。"),
    )


async def _own_receipts(desk: Desk) -> dict[str, str]:
    """The actor's receipts that can be pledged, through the register of operations: another system's list."""
    operation = desk.operation("warehousing.receipts")
    listed = await desk.try_ask(operation.request())
    found = listed.model_dump()["receipts"] if listed is not None else []
    return {
        r["id"]: f"{r['number']} · {tonnes(r['quantity_kg'])} · {r['tank_id']}"
        for r in found
        if r["state"] == "issued" and r["owner"] == desk.actor.party
    }


def _request(desk: Desk, facility: FacilityView) -> None:
    room = money(max(facility.limit - facility.principal - facility.interest, 0))
    ask_and_do(
        desk,
        ("Request loan", "申请放款"),
        [Ask("amount", ("Amount", "金额"), "yuan", hint=(f"at most {room}", f"最多 {room}"))],
        lambda v: RequestLoan(facility_id=facility.id, **v),
        explain=("Somebody else at the lender approves it.", "由贷款人的另一位人员审批。"),
        confirm=("Request", "提交申请"),
        done=("Requested.", "已提交申请。"),
    )


def _repay(desk: Desk, facility: FacilityView) -> None:
    owed = money(facility.principal + facility.interest)
    ask_and_do(
        desk,
        ("Repay", "还款"),
        [Ask("amount", ("Amount", "金额"), "yuan", hint=(f"owed: {owed}", f"欠款 {owed}"))],
        lambda v: Repay(facility_id=facility.id, **v),
        explain=("Interest is paid first, then principal.", "先还利息，后还本金。"),
        done=("The bank is instructed.", "已向银行发出指令。"),
    )


def _certify(desk: Desk, facility: FacilityView) -> None:
    ask_and_do(
        desk,
        ("Record query certificate", "登记查询证明"),
        [
            Ask("certificate", ("Number of the certificate", "查询证明编号")),
            Ask("clear", ("Earlier registration", "在先登记"), "choice",
                choices={"yes": desk.t(("none: clear", "无")), "no": desk.t(("there is one", "有"))}),
        ],
        lambda v: RecordCertificate(facility_id=facility.id, certificate=v["certificate"], clear=v["clear"] == "yes"),
    )  # fmt: skip


def _register(desk: Desk, facility: FacilityView) -> None:
    ask_and_do(
        desk,
        ("Record registration", "登记担保权益"),
        [Ask("registration", ("Registration number", "登记编号"))],
        lambda v: RegisterInterest(facility_id=facility.id, **v),
    )


def approvals(desk: Desk, facility: FacilityView, loans: list[LoanView]) -> None:
    """A button for each loan that waits for the lender's approval."""
    if desk.actor.party != facility.lender:
        return
    with ui.element("div").classes("actions foot"):
        for loan in loans:
            if loan.state == "requested":
                title = (f"Approve {money(loan.amount)}", f"批准 {money(loan.amount)}")
                action(desk, "tradefinance.approve_loan", partial(_approve, desk, loan), primary=True, title=title)


def _approve(desk: Desk, loan: LoanView) -> None:
    ask_and_do(
        desk,
        ("Approve loan", "批准放款"),
        [],
        lambda _: ApproveLoan(loan_id=loan.id),
        explain=(
            f"The bank is instructed to pay {money(loan.amount)}; its answer books the loan.",
            f"将指令银行支付 {money(loan.amount)}，银行回执后入账。",
        ),
        confirm=("Approve", "批准"),
        done=("Approved; the bank is instructed.", "已批准，已向银行发出指令。"),
    )


def releases(desk: Desk, facility: FacilityView, pledges: list[PledgeView]) -> None:
    """A button for each pledge that the lender may release."""
    if desk.actor.party != facility.lender:
        return
    with ui.element("div").classes("actions foot"):
        for pledge in pledges:
            if pledge.state == "active":
                title = (f"Release {pledge.receipt_number}", f"解除质押 {pledge.receipt_number}")
                action(desk, "tradefinance.release", partial(_release, desk, pledge), title=title)


def _release(desk: Desk, pledge: PledgeView) -> None:
    ask_and_do(
        desk,
        ("Release pledge", "解除质押"),
        [],
        lambda _: ReleasePledge(pledge_id=pledge.id),
        explain=(f"{tonnes(pledge.quantity_kg)} become free.", f"{tonnes(pledge.quantity_kg)} 将解除质押。"),
        done=("Released.", "已解除。"),
    )
