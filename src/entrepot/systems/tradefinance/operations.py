"""Commands of a facility's life: pledge, loan, bank's answer, repayment, release."""

from pydantic import Field

from entrepot.kernel.operations import (
    Answer,
    Conflict,
    Context,
    Invalid,
    Request,
    creditor_of,
    owner_of,
    related,
    requester_of,
)
from entrepot.systems.tradefinance.assessment import assess, on_sale
from entrepot.systems.tradefinance.books import (
    accrue_to_today,
    cash,
    facilities,
    instructions,
    loans,
    on_its_way,
    owed,
    pledges,
    position,
)
from entrepot.systems.tradefinance.contract import FacilityView, LoanView
from entrepot.systems.tradefinance.model import Facility, Loan, Pledge
from entrepot.systems.tradefinance.rules import advance_limit, loan_to_value_bp
from entrepot.systems.tradefinance.settlement import book, follow_failure, instruct
from entrepot.systems.tradefinance.views import facility_view, loan_view
from entrepot.systems.warehousing.contract import GetReceipt, HoldReceipt, ReleaseReceipt

MAX_FEN = 10**14
CERTIFICATE_US = 30 * 86_400_000_000


class Pledged(Answer):
    """A pledge, and where the facility stands with it."""

    id: str
    facility_id: str
    receipt_id: str
    quantity_kg: int
    value: int
    ltv_bp: int


class PledgeGoods(Request[Pledged]):
    """Pledge the goods of a receipt to the lender of a facility (办理质押)."""

    facility_id: str = Field(max_length=64)
    receipt_id: str = Field(max_length=64, description="Your receipt, in state issued")


@PledgeGoods.command(
    "tradefinance.pledge",
    http="POST /facilities/{facility_id}/pledges",
    scope="tradefinance:borrow",
    title=("Pledge", "办理质押"),
    phrases=("pledge my receipt", "质押仓单"),
    confirm=True,
    relation=owner_of("facility_id"),
    subject="facility_id",
    example={"facility_id": "fac_0", "receipt_id": "rcp_0"},
)
def pledge_goods(ctx: Context, request: PledgeGoods) -> Pledged:
    """Goods, claim and record in one transaction; a top-up is a pledge too and may cure a margin call."""
    facility = facilities(ctx).lock(request.facility_id)
    _must_be_active(facility)
    _must_not_be_on_sale(ctx, facility)
    receipt = ctx.call(HoldReceipt(receipt_id=request.receipt_id, in_favour_of=facility.lender, reference=facility.id))
    if receipt.custodian != facility.custodian:
        raise Conflict(
            "tradefinance/custodian", f"{receipt.id} is kept by {receipt.custodian}, not by {facility.custodian}."
        )
    pledge = pledges(ctx).add(
        Pledge(
            id=ctx.new_id("plg"),
            facility_id=facility.id,
            receipt_id=receipt.id,
            encumbrance=receipt.encumbrance,
            state="active",
            pledged_at=ctx.now_us,
        )
    )
    for relation, party in (("owner", facility.borrower), ("creditor", facility.lender)):
        ctx.relations.add(pledge.id, relation, party, fresh=True)
    at = assess(ctx, accrue_to_today(ctx, facility))
    return Pledged(
        id=pledge.id,
        facility_id=facility.id,
        receipt_id=receipt.id,
        quantity_kg=receipt.quantity_kg,
        value=at.value,
        ltv_bp=at.ltv_bp,
    )


class RequestLoan(Request[LoanView]):
    """Ask to draw on a facility; somebody at the lender approves it."""

    facility_id: str = Field(max_length=64)
    amount: int = Field(gt=0, le=MAX_FEN, description="Fen")


@RequestLoan.command(
    "tradefinance.request_loan",
    http="POST /facilities/{facility_id}/loans",
    scope="tradefinance:borrow",
    title=("Request loan", "申请放款"),
    confirm=True,
    relation=owner_of("facility_id"),
    subject="facility_id",
    example={"facility_id": "fac_0", "amount": 100_000_00},
)
def request_loan(ctx: Context, request: RequestLoan) -> LoanView:
    """Refused at once when the collateral cannot carry it."""
    facility = facilities(ctx).lock(request.facility_id)
    _must_be_active(facility)
    _must_not_be_on_sale(ctx, facility)
    _check_headroom(ctx, facility, request.amount)
    loan = loans(ctx).add(
        Loan(
            id=ctx.new_id("loa"),
            facility_id=facility.id,
            state="requested",
            amount=request.amount,
            requested_by=ctx.actor.id,
            instruction_id="",
            requested_at=ctx.now_us,
        )
    )
    ctx.relations.add(loan.id, "requester", ctx.actor.id, fresh=True)
    ctx.relations.add(loan.id, "owner", facility.borrower, fresh=True)
    ctx.relations.add(loan.id, "creditor", facility.lender, fresh=True)
    ctx.notices.send(
        facility.lender,
        "loan",
        ("Loan requested", "收到放款申请"),
        (f"{facility.borrower} asks for {request.amount} fen on {facility.id}.",
         f"{facility.borrower} 申请在 {facility.id} 项下放款 {request.amount} 分。"),
        loan.id,
    )  # fmt: skip
    return loan_view(loan)


class ApproveLoan(Request[LoanView]):
    """Approve a requested loan and instruct the payout; never by the person who asked for it."""

    loan_id: str = Field(max_length=64)


@ApproveLoan.command(
    "tradefinance.approve_loan",
    http="POST /loans/{loan_id}/approval",
    scope="tradefinance:approve",
    title=("Approve loan", "批准放款"),
    confirm=True,
    relation=creditor_of("loan_id"),
    not_by=requester_of("loan_id"),
    example={"loan_id": "loa_0"},
)
def approve_loan(ctx: Context, request: ApproveLoan) -> LoanView:
    """The money is set aside with this command; the bank moves it afterwards, and its answer books the loan."""
    loan = loans(ctx).lock(request.loan_id)
    if loan.state != "requested":
        raise Conflict("tradefinance/loan-state", f"The loan {loan.id} is {loan.state}, not requested.")
    facility = accrue_to_today(ctx, facilities(ctx).lock(loan.facility_id))
    _must_be_active(facility)
    _must_not_be_on_sale(ctx, facility)
    _check_certificate(ctx, facility)
    _check_headroom(ctx, facility, loan.amount)
    instruction = instruct(
        ctx, facility, "payout", debtor=facility.lender, creditor=facility.borrower, amount=loan.amount, loan_id=loan.id
    )
    return loan_view(loans(ctx).change(loan, state="instructed", instruction_id=instruction.id))


class Settled(Answer):
    """An instruction after the bank's answer."""

    id: str
    state: str


class SettleInstruction(Request[Settled]):
    """Book what the bank answered to an instruction; run by the workflow that asked it."""

    instruction_id: str = Field(max_length=64)
    outcome: str = Field(pattern="^(confirmed|failed|returned)$")
    bank_reference: str = Field("", max_length=128)


@SettleInstruction.command(
    "tradefinance.settle_instruction",
    http="POST /instructions/{instruction_id}/settlement",
    scope="tradefinance:operate",
    title=("Book bank's answer", "登记银行回执"),
    example={"instruction_id": "ins_0", "outcome": "confirmed"},
)
def settle_instruction(ctx: Context, request: SettleInstruction) -> Settled:
    """The first answer counts; the same one again changes nothing, another one is a break for people to see."""
    instruction = instructions(ctx).lock(request.instruction_id)
    if instruction.state != "instructed":
        if instruction.state != request.outcome:
            raise Conflict(
                "tradefinance/answered",
                f"The bank answered {instruction.id} with {instruction.state} before; now {request.outcome}.",
            )
        return Settled(id=instruction.id, state=instruction.state)
    facility = accrue_to_today(ctx, facilities(ctx).lock(instruction.facility_id))
    hold = int(instruction.hold)
    if request.outcome == "confirmed":
        ctx.ledger.confirm_payout(hold, reference=request.bank_reference or instruction.id)
        book(ctx, facility, instruction)
    else:
        ctx.ledger.fail_payout(hold, reference=request.bank_reference or instruction.id)
        follow_failure(ctx, facility, instruction)
    instructions(ctx).change(instruction, state=request.outcome)
    assess(ctx, facilities(ctx).get(facility.id))
    return Settled(id=instruction.id, state=request.outcome)


class RepaymentInstructed(Answer):
    """A repayment on its way through the bank."""

    id: str
    amount: int


class Repay(Request[RepaymentInstructed]):
    """Repay interest, then principal; the money is set aside and the bank is instructed."""

    facility_id: str = Field(max_length=64)
    amount: int = Field(gt=0, le=MAX_FEN, description="Fen; at most what is owed")


@Repay.command(
    "tradefinance.repay",
    http="POST /facilities/{facility_id}/repayments",
    scope="tradefinance:borrow",
    title=("Repay", "还款"),
    confirm=True,
    relation=owner_of("facility_id"),
    subject="facility_id",
    example={"facility_id": "fac_0", "amount": 1_000_00},
)
def repay(ctx: Context, request: Repay) -> RepaymentInstructed:
    """Never more than is owed, money on its way counted."""
    facility = accrue_to_today(ctx, facilities(ctx).lock(request.facility_id))
    still_owed = sum(owed(ctx, facility)) - on_its_way(ctx, facility, "repayment")
    if request.amount > still_owed:
        raise Invalid(
            "tradefinance/more-than-owed",
            f"{still_owed} fen are owed on {facility.id} beside what is on its way; {request.amount} is more.",
            owed=still_owed,
        )
    if ctx.ledger.balance(cash(ctx, facility.borrower)).available < request.amount:
        raise Conflict("tradefinance/no-money", f"{facility.borrower} does not have {request.amount} fen available.")
    instruction = instruct(
        ctx, facility, "repayment", debtor=facility.borrower, creditor=facility.lender, amount=request.amount
    )
    return RepaymentInstructed(id=instruction.id, amount=request.amount)


class ReleasePledge(Request[FacilityView]):
    """Release a pledged receipt; what stays must carry what is owed under the advance rate cap."""

    pledge_id: str = Field(max_length=64)


@ReleasePledge.command(
    "tradefinance.release",
    http="POST /pledges/{pledge_id}/release",
    scope="tradefinance:lend",
    title=("Release pledge", "解除质押"),
    confirm=True,
    relation=creditor_of("pledge_id"),
    example={"pledge_id": "plg_0"},
)
def release_pledge(ctx: Context, request: ReleasePledge) -> FacilityView:
    """Only the creditor, and only with room."""
    pledge = pledges(ctx).lock(request.pledge_id)
    if pledge.state != "active":
        raise Conflict("tradefinance/pledge-state", f"The pledge {pledge.id} is {pledge.state}.")
    facility = accrue_to_today(ctx, facilities(ctx).lock(pledge.facility_id))
    _must_not_be_on_sale(ctx, facility)
    ctx.call(ReleaseReceipt(receipt_id=pledge.receipt_id))
    pledges(ctx).change(pledge, state="released")
    at = position(ctx, facility)
    if at.debt > advance_limit(at.value, facility.advance_rate_bp):
        raise Conflict(
            "tradefinance/still-needed",
            f"Without {pledge.receipt_id} the loan-to-value were {loan_to_value_bp(at.debt, at.value) / 100:.2f} %, "
            f"above the advance rate cap of {facility.advance_rate_bp / 100:.2f} %.",
        )
    assess(ctx, facility)
    return facility_view(ctx, facilities(ctx).get(facility.id))


class PledgeView(Answer):
    """A pledge with its receipt's quantity."""

    id: str
    facility_id: str
    receipt_id: str
    receipt_number: str
    tank_id: str
    state: str
    quantity_kg: int


class PledgeList(Answer):
    """Pledges of a facility."""

    pledges: list[PledgeView]


class ListPledges(Request[PledgeList]):
    """Pledges of a facility, released ones too."""

    facility_id: str = Field(max_length=64)


@ListPledges.query(
    "tradefinance.pledges",
    http="GET /facilities/{facility_id}/pledges",
    scope="tradefinance:read",
    title=("Pledges", "质押清单"),
    relation=related("facility_id", "owner", "creditor", "custodian", "supervisor"),
    example={"facility_id": "fac_0"},
)
def list_pledges(ctx: Context, request: ListPledges) -> PledgeList:
    """For the parties of the facility."""
    listed = []
    for pledge in pledges(ctx).list(facility_id=request.facility_id):
        # The creditor's relation to a receipt ends with the pledge: of an ended one only the record is shown.
        receipt = ctx.call(GetReceipt(receipt_id=pledge.receipt_id)) if pledge.state == "active" else None
        listed.append(
            PledgeView(
                id=pledge.id,
                facility_id=pledge.facility_id,
                receipt_id=pledge.receipt_id,
                receipt_number=receipt.number if receipt else "",
                tank_id=receipt.tank_id if receipt else "",
                state=pledge.state,
                quantity_kg=receipt.quantity_kg if receipt else 0,
            )
        )
    return PledgeList(pledges=listed)


def _must_be_active(facility: Facility) -> None:
    if facility.state != "active":
        raise Conflict(
            "tradefinance/not-active",
            f"The facility {facility.id} is {facility.state}: all three parties must sign it.",
        )


def _must_not_be_on_sale(ctx: Context, facility: Facility) -> None:
    if on_sale(ctx, facility):
        raise Conflict(
            "tradefinance/on-sale",
            f"The goods of {facility.id} are offered to a buyer; until the bank has answered only repayment is open.",
        )


def _check_certificate(ctx: Context, facility: Facility) -> None:
    if not facility.certificate or ctx.now_us - facility.certified_at > CERTIFICATE_US:
        raise Conflict(
            "tradefinance/no-certificate",
            f"{facility.id} has no clear query certificate of the last 30 days; query the movables registry first.",
        )


def _check_headroom(ctx: Context, facility: Facility, amount: int) -> None:
    at = position(ctx, facility)
    room = advance_limit(at.value, facility.advance_rate_bp) - at.debt - on_its_way(ctx, facility, "payout")
    if amount > room:
        raise Conflict(
            "tradefinance/over-advance-rate",
            f"{facility.id} has room for {max(room, 0)} fen under its advance rate cap; {amount} is more.",
            room=max(room, 0),
        )
