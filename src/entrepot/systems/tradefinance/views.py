"""Answers made from records and the ledger."""

import json

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import Context, Refusal
from entrepot.systems.tradefinance.books import Position, owed_today, pledged_kg, position
from entrepot.systems.tradefinance.contract import FacilityView, LoanView
from entrepot.systems.tradefinance.model import Facility, Loan


def facility_view(ctx: Context, facility: Facility) -> FacilityView:
    """A facility with its position; a missing price shows as zero, with the loan-to-value unknown as zero too."""
    try:
        at = position(ctx, facility, allow_stale=True)
    except Refusal:
        principal, interest = owed_today(ctx, facility)
        at = Position(principal, interest, pledged_kg(ctx, facility), 0, 0, 0)
    return FacilityView(
        id=facility.id,
        lender=facility.lender,
        borrower=facility.borrower,
        custodian=facility.custodian,
        series=facility.series,
        state=facility.state,  # type: ignore[arg-type]
        level=facility.level,  # type: ignore[arg-type]
        advance_rate_bp=facility.advance_rate_bp,
        warning_bp=facility.warning_bp,
        top_up_bp=facility.top_up_bp,
        disposal_bp=facility.disposal_bp,
        rate_bp=facility.rate_bp,
        signed_by=json.loads(facility.signed_by),
        certificate=facility.certificate,
        registration=facility.registration,
        limit=at.value * facility.advance_rate_bp // 10_000,
        principal=at.principal,
        interest=at.interest,
        collateral_kg=at.kilograms,
        price=at.price,
        value=at.value,
        ltv_bp=at.ltv_bp,
        call_case=facility.call_case,
        disposal_case=facility.disposal_case,
        opened_at=from_us(facility.opened_at),
    )


def loan_view(loan: Loan) -> LoanView:
    """A loan."""
    return LoanView(
        id=loan.id,
        facility_id=loan.facility_id,
        state=loan.state,  # type: ignore[arg-type]
        amount=loan.amount,
        requested_by=loan.requested_by,
        instruction_id=loan.instruction_id,
    )
