"""Money through the bank: set aside with the command, moved by durable work, booked by the answer."""

from entrepot.kernel.operations import Context
from entrepot.kernel.reference import working_deadline
from entrepot.systems.tradefinance import timed
from entrepot.systems.tradefinance.assessment import put_off
from entrepot.systems.tradefinance.books import (
    cash,
    claim_accounts,
    facilities,
    instructions,
    loans,
    owed,
    pay_down,
    pledged_kg,
    pledges,
)
from entrepot.systems.tradefinance.model import Facility, Instruction
from entrepot.systems.tradefinance.rules import BASIS, waterfall
from entrepot.systems.warehousing.contract import DisposeReceipt

WORKFLOW = "tradefinance.settle"
PAY_AGAIN_HOURS = 9


def instruct(
    ctx: Context, facility: Facility, kind: str, *, debtor: str, creditor: str, amount: int, loan_id: str = ""
) -> Instruction:
    """Set the money aside and start the workflow that asks the bank. Raises Conflict without the money."""
    identifier = ctx.new_id("ins")
    hold = ctx.ledger.instruct_payout(cash(ctx, debtor), cash(ctx, creditor), amount, reference=identifier)
    instruction = instructions(ctx).add(
        Instruction(
            id=identifier,
            kind=kind,
            facility_id=facility.id,
            loan_id=loan_id,
            amount=amount,
            debtor=debtor,
            creditor=creditor,
            hold=str(hold),
            state="instructed",
            instructed_at=ctx.now_us,
        )
    )
    ctx.workflows.start(
        WORKFLOW,
        {
            "tenant": ctx.tenant,
            "instruction_id": identifier,
            "amount_minor": amount,
            "currency": "CNY",
            "debtor": debtor,
            "creditor": creditor,
        },
        identifier,
    )
    return instruction


def book(ctx: Context, facility: Facility, instruction: Instruction) -> None:
    """The bank has paid: what follows on the books. What a repayment brings beyond the debt goes back."""
    if instruction.kind == "payout":
        issuing, principal, _ = claim_accounts(ctx, facility)
        ctx.ledger.transfer(issuing, principal, instruction.amount, reference=instruction.id)
        loans(ctx).change(loans(ctx).lock(instruction.loan_id), state="booked")
    elif instruction.kind == "repayment":
        flow = waterfall(instruction.amount, 0, *reversed(owed(ctx, facility)))
        pay_down(ctx, facility, flow.interest, flow.principal, instruction.id)
        _pay_back(ctx, facility, flow.surplus)
    elif instruction.kind == "sale":
        realise(ctx, facility, instruction)


def follow_failure(ctx: Context, facility: Facility, instruction: Instruction) -> None:
    """The bank has not paid: the loan is off, the goods are offered again, the borrower's money is sent again."""
    if instruction.kind == "payout":
        loans(ctx).change(loans(ctx).lock(instruction.loan_id), state="failed")
    elif instruction.kind == "sale":
        put_off(ctx, facility)
    elif instruction.kind == "surplus":
        deadline = working_deadline(ctx.now, hours=PAY_AGAIN_HOURS)
        ctx.timers.at(deadline, timed.PayAgain(instruction_id=instruction.id), key=f"pay-again:{instruction.id}")
        english = f"The bank did not pay {instruction.amount} fen to {instruction.creditor}; it is sent again."
        chinese = f"银行未能向 {instruction.creditor} 支付 {instruction.amount} 分，将重新付款。"
        for party in (instruction.debtor, instruction.creditor):
            title = ("Payment did not arrive", "款项未到账")
            ctx.notices.send(party, "payment", title, (english, chinese), facility.id)


def _pay_back(ctx: Context, facility: Facility, amount: int) -> None:
    if amount:
        instruct(ctx, facility, "surplus", debtor=facility.lender, creditor=facility.borrower, amount=amount)


def realise(ctx: Context, facility: Facility, sale: Instruction) -> None:
    """The buyer's money has come: pass the goods over and apply the proceeds in their lawful order.

    A surplus is paid out to the owner through the bank; a deficiency stays owed.
    """
    principal, interest = owed(ctx, facility)
    costs = sale.amount * facility.disposal_cost_bp // BASIS
    flow = waterfall(sale.amount, costs, interest, principal)
    for pledge in pledges(ctx).list(facility_id=facility.id, state="active"):
        ctx.call(DisposeReceipt(receipt_id=pledge.receipt_id, buyer=sale.debtor, reference=sale.id))
        pledges(ctx).change(pledge, state="disposed")
    assert pledged_kg(ctx, facility) == 0, "a sale passes all the goods"
    pay_down(ctx, facility, flow.interest, flow.principal, sale.id)
    _pay_back(ctx, facility, flow.surplus)
    if facility.disposal_case:
        ctx.cases.act(facility.disposal_case, "sell", f"proceeds {sale.amount}")
    facilities(ctx).change(facilities(ctx).get(facility.id), disposal_case="", level="ok")
    figures = {
        "proceeds": sale.amount,
        "costs": flow.costs,
        "interest": flow.interest,
        "principal": flow.principal,
        "surplus": flow.surplus,
        "deficiency": flow.deficiency,
    }
    ctx.emit("tradefinance.disposed", figures, facility.id)
    text = ", ".join(f"{name} {amount}" for name, amount in figures.items())
    for party in (facility.borrower, facility.lender):
        ctx.notices.send(party, "disposal", ("Pledged goods were sold", "质押物已处置"), (text, text), facility.id)
