"""The accounts of a facility: cash, the lender's claim, the pledged goods."""

from dataclasses import dataclass
from datetime import date

from entrepot.kernel.database.records import Records
from entrepot.kernel.ledger import Transfer
from entrepot.kernel.operations import Context
from entrepot.kernel.reference import REGION
from entrepot.systems.tradefinance.model import Facility, Instruction, Loan, Pledge, Valuation
from entrepot.systems.tradefinance.rules import Accrual, accrue, collateral_value, loan_to_value_bp

CURRENCY = "CNY"
OWED = "owed"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a facility stands; amounts in fen. `price` is fen per tonne, 0 without collateral and debt."""

    principal: int
    interest: int
    kilograms: int
    price: int
    value: int
    ltv_bp: int

    @property
    def debt(self) -> int:
        """Principal and interest."""
        return self.principal + self.interest


def facilities(ctx: Context) -> Records[Facility]:
    """The tenant's facilities."""
    return Records(ctx.uow, ctx.tenant, Facility)


def pledges(ctx: Context) -> Records[Pledge]:
    """The tenant's pledges."""
    return Records(ctx.uow, ctx.tenant, Pledge)


def loans(ctx: Context) -> Records[Loan]:
    """The tenant's loans."""
    return Records(ctx.uow, ctx.tenant, Loan)


def instructions(ctx: Context) -> Records[Instruction]:
    """The tenant's instructions to banks."""
    return Records(ctx.uow, ctx.tenant, Instruction)


def valuations(ctx: Context) -> Records[Valuation]:
    """The tenant's valuations."""
    return Records(ctx.uow, ctx.tenant, Valuation)


def today(ctx: Context) -> date:
    """The day in the region."""
    return ctx.now.astimezone(REGION).date()


def cash(ctx: Context, party: str) -> int:
    """A party's money at the licensed issuer, mirrored."""
    return ctx.ledger.account(party, CURRENCY)


def claim_accounts(ctx: Context, facility: Facility) -> tuple[int, int, int]:
    """Of the claim asset: the borrower's issuing account, the lender's principal and the lender's interest."""
    return (
        ctx.ledger.account(facility.borrower, facility.asset, OWED, may_go_negative=True),
        ctx.ledger.account(facility.lender, facility.asset, "principal"),
        ctx.ledger.account(facility.lender, facility.asset, "interest"),
    )


def owed(ctx: Context, facility: Facility) -> tuple[int, int]:
    """Principal and interest that the borrower owes by the books."""
    _, principal, interest = claim_accounts(ctx, facility)
    of_principal, of_interest = ctx.ledger.balances((principal, interest))
    return of_principal.posted, of_interest.posted


def accrue_to_today(ctx: Context, facility: Facility) -> Facility:
    """Book the interest since it was booked last; the facility as it is then."""
    if today(ctx) <= date.fromisoformat(facility.accrued_to):
        return facility
    issuing, _, interest_account = claim_accounts(ctx, facility)
    accrual = _unbooked(ctx, facility, owed(ctx, facility)[0])
    if accrual.interest:
        ctx.ledger.transfer(issuing, interest_account, accrual.interest, reference=f"interest {facility.id}")
    return facilities(ctx).change(facility, accrued_to=today(ctx).isoformat(), carry=accrual.carry)


def owed_today(ctx: Context, facility: Facility) -> tuple[int, int]:
    """Principal and interest that the borrower owes, with the interest that is not booked yet."""
    principal, interest = owed(ctx, facility)
    return principal, interest + _unbooked(ctx, facility, principal).interest


def _unbooked(ctx: Context, facility: Facility, principal: int) -> Accrual:
    since = date.fromisoformat(facility.accrued_to)
    until = max(since, today(ctx))
    return accrue(principal, facility.rate_bp, since, until, facility.day_count, facility.carry)  # type: ignore[arg-type]


def pay_down(ctx: Context, facility: Facility, interest: int, principal: int, reference: str) -> None:
    """Reduce the claim by what was paid."""
    issuing, principal_account, interest_account = claim_accounts(ctx, facility)
    transfers = [
        Transfer(source, issuing, amount, reference=reference)
        for source, amount in ((interest_account, interest), (principal_account, principal))
        if amount
    ]
    if transfers:
        ctx.ledger.post(transfers, reference=reference)


def on_its_way(ctx: Context, facility: Facility, kind: str) -> int:
    """Fen of a kind of instruction that the bank has not answered."""
    return sum(i.amount for i in instructions(ctx).list(facility_id=facility.id, kind=kind, state="instructed"))


def pledged_kg(ctx: Context, facility: Facility) -> int:
    """Kilograms pledged for the facility, from the encumbrances on the ledger."""
    standing = pledges(ctx).list(facility_id=facility.id, state="active")
    return ctx.ledger.claimed([pledge.encumbrance for pledge in standing])


def position(ctx: Context, facility: Facility, *, allow_stale: bool = False) -> Position:
    """Debt, collateral and loan-to-value now. Raises Invalid for a stale price, NotFound for none."""
    principal, interest = owed_today(ctx, facility)
    kilograms = pledged_kg(ctx, facility)
    if not kilograms and not principal and not interest:
        return Position(0, 0, 0, 0, 0, 0)
    price = ctx.reference.price(facility.series, allow_stale=allow_stale).value
    value = collateral_value(kilograms, price)
    return Position(principal, interest, kilograms, price, value, loan_to_value_bp(principal + interest, value))
