"""Following the price: revaluation, the end of a margin call, the sale."""

from pydantic import Field

from entrepot.kernel.operations import Answer, Conflict, Context, Request
from entrepot.systems.tradefinance.assessment import assess, cure, give_notice, put_off
from entrepot.systems.tradefinance.books import accrue_to_today, cash, facilities, instructions, on_its_way, position
from entrepot.systems.tradefinance.rules import BASIS, level, loan_to_value_bp
from entrepot.systems.tradefinance.settlement import instruct
from entrepot.systems.tradefinance.timed import Dispose, ExpireCall, Followed, PayAgain

WAIT_FOR_BANK_HOURS = 1


class Revalued(Answer):
    """How many facilities were valued, and how many stand at which line."""

    series: str
    facilities: int
    warning: int
    top_up: int
    disposal: int


class Revalue(Request[Revalued]):
    """Value every active facility of a price series at its last price, and act on the lines that are reached."""

    series: str = Field(min_length=1, max_length=64)


@Revalue.command(
    "tradefinance.revalue",
    http="POST /revaluations",
    scope="tradefinance:revalue",
    title=("Revalue", "盯市估值"),
    subject="series",
    example={"series": "brent-cny-t"},
)
def revalue(ctx: Context, request: Revalue) -> Revalued:
    """Follows each new price by itself; refused on a stale price, for nobody is called on old news."""
    ctx.reference.price(request.series)
    counts = {"ok": 0, "warning": 0, "top_up": 0, "disposal": 0}
    for listed in facilities(ctx).list(series=request.series, state="active", limit=100_000):
        facility = accrue_to_today(ctx, facilities(ctx).lock(listed.id))
        at = assess(ctx, facility, allow_stale=False)
        counts[level(at.ltv_bp, facility.warning_bp, facility.top_up_bp, facility.disposal_bp)] += 1
    return Revalued(
        series=request.series,
        facilities=sum(counts.values()),
        warning=counts["warning"],
        top_up=counts["top_up"],
        disposal=counts["disposal"],
    )


@ExpireCall.command(
    "tradefinance.expire_call",
    http="POST /facilities/{facility_id}/call-expiry",
    scope="tradefinance:operate",
    title=("End margin call", "补足到期"),
    subject="facility_id",
    example={"facility_id": "fac_0", "case_id": "cas_0"},
)
def expire_call(ctx: Context, request: ExpireCall) -> Followed:
    """Looks once more before it gives notice: a top-up may have come in the same second."""
    facility = facilities(ctx).lock(request.facility_id)
    if facility.call_case != request.case_id:
        return Followed(id=facility.id, result="nothing")
    facility = accrue_to_today(ctx, facility)
    at = position(ctx, facility, allow_stale=True)
    if at.ltv_bp < facility.warning_bp:
        cure(ctx, facility)
        return Followed(id=facility.id, result="cured")
    ctx.cases.act(facility.call_case, "expire", "the deadline passed")
    give_notice(ctx, facilities(ctx).change(facility, call_case=""), at)
    return Followed(id=facility.id, result="expired")


@Dispose.command(
    "tradefinance.dispose",
    http="POST /facilities/{facility_id}/disposal",
    scope="tradefinance:operate",
    title=("Dispose of goods", "处置质物"),
    subject="facility_id",
    example={"facility_id": "fac_0", "case_id": "cas_0"},
)
def dispose(ctx: Context, request: Dispose) -> Followed:
    """Sell at the valuation less the agreed discount; the goods pass when the buyer's money has come.

    Put off while a repayment that would cure it is with the bank, and while the buyer has not the money.
    """
    facility = facilities(ctx).lock(request.facility_id)
    if facility.disposal_case != request.case_id:
        return Followed(id=facility.id, result="nothing")
    facility = accrue_to_today(ctx, facility)
    at = position(ctx, facility, allow_stale=True)
    if at.ltv_bp < facility.warning_bp:
        cure(ctx, facility)
        return Followed(id=facility.id, result="withdrawn")
    left = at.debt - on_its_way(ctx, facility, "repayment")
    if loan_to_value_bp(left, at.value) < facility.warning_bp:
        put_off(ctx, facility, hours=WAIT_FOR_BANK_HOURS)
        return Followed(id=facility.id, result="put off")
    proceeds = at.value * (BASIS - facility.disposal_discount_bp) // BASIS
    if proceeds <= 0:
        raise Conflict("tradefinance/nothing-to-sell", f"{facility.id} has no goods that could be sold.")
    if ctx.ledger.balance(cash(ctx, facility.disposal_buyer)).available < proceeds:
        put_off(ctx, facility)
        return Followed(id=facility.id, result="put off")
    ctx.cases.act(facility.disposal_case, "offer", f"{at.kilograms} kg at {at.price} fen/t less the agreed discount")
    instruct(ctx, facility, "sale", debtor=facility.disposal_buyer, creditor=facility.lender, amount=proceeds)
    return Followed(id=facility.id, result="offered")


@PayAgain.command(
    "tradefinance.pay_again",
    http="POST /instructions/{instruction_id}/repetition",
    scope="tradefinance:operate",
    title=("Pay again", "重新付款"),
    subject="instruction_id",
    example={"instruction_id": "ins_0"},
)
def pay_again(ctx: Context, request: PayAgain) -> Followed:
    """What is due to the borrower stays due until the bank has paid it."""
    refused = instructions(ctx).get(request.instruction_id)
    if refused.kind != "surplus" or refused.state not in {"failed", "returned"}:
        return Followed(id=refused.id, result="nothing")
    facility = facilities(ctx).lock(refused.facility_id)
    again = instruct(ctx, facility, "surplus", debtor=refused.debtor, creditor=refused.creditor, amount=refused.amount)
    return Followed(id=again.id, result="instructed")
