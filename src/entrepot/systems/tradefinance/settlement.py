"""Money through the bank: set aside with the command, moved by durable work, booked by the answer."""

from entrepot.kernel.operations import Context
from entrepot.systems.tradefinance.books import cash, facilities, instructions, owed, pay_down, pledged_kg, pledges
from entrepot.systems.tradefinance.model import Facility, Instruction
from entrepot.systems.tradefinance.rules import BASIS, waterfall
from entrepot.systems.warehousing.contract import DisposeReceipt

WORKFLOW = "tradefinance.settle"


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
    if flow.surplus:
        instruct(ctx, facility, "surplus", debtor=facility.lender, creditor=facility.borrower, amount=flow.surplus)
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
