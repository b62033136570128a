"""What other systems may ask of trade finance."""

from datetime import datetime
from typing import Literal

from entrepot.kernel.operations import Answer

FacilityState = Literal["drafted", "active", "closed"]
LoanState = Literal["requested", "instructed", "booked", "failed"]


class FacilityView(Answer):
    """A facility with its present debt, collateral and loan-to-value; amounts in fen."""

    id: str
    lender: str
    borrower: str
    custodian: str
    series: str
    state: FacilityState
    level: Literal["ok", "warning", "top_up", "disposal"]
    advance_rate_bp: int
    warning_bp: int
    top_up_bp: int
    disposal_bp: int
    rate_bp: int
    signed_by: list[str]
    certificate: str
    registration: str
    limit: int
    principal: int
    interest: int
    collateral_kg: int
    price: int
    value: int
    ltv_bp: int
    call_case: str
    disposal_case: str
    opened_at: datetime


class LoanView(Answer):
    """A loan; `amount` in fen is what was asked for, what is owed stands on the ledger."""

    id: str
    facility_id: str
    state: LoanState
    amount: int
    requested_by: str
    instruction_id: str
