"""Queries of trade finance."""

from datetime import datetime

from pydantic import Field

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import Answer, Context, Request, related
from entrepot.systems.tradefinance.books import facilities, instructions, loans, valuations
from entrepot.systems.tradefinance.contract import FacilityView, LoanView
from entrepot.systems.tradefinance.views import facility_view, loan_view

SUPERVISE = "tradefinance:supervise"
PARTIES = related("facility_id", "owner", "creditor", "custodian", "supervisor")


class FacilityList(Answer):
    """Facilities, the oldest first."""

    facilities: list[FacilityView]


class ListFacilities(Request[FacilityList]):
    """Facilities of your party; all for a supervisor."""

    limit: int = Field(200, ge=1, le=2_000)


@ListFacilities.query(
    "tradefinance.facilities", http="GET /facilities", scope="tradefinance:read", title=("Facilities", "授信列表")
)
def list_facilities(ctx: Context, request: ListFacilities) -> FacilityList:
    """By relation."""
    if SUPERVISE in ctx.actor.scopes:
        found = facilities(ctx).list(limit=request.limit)
    else:
        ids = ctx.relations.objects(
            ctx.actor.party, ("owner", "creditor", "custodian"), prefix="fac_", limit=request.limit
        )
        found = [facilities(ctx).get(facility_id) for facility_id in ids]
    return FacilityList(facilities=[facility_view(ctx, facility) for facility in found])


class GetFacility(Request[FacilityView]):
    """One facility with debt, collateral and loan-to-value."""

    facility_id: str = Field(max_length=64)


@GetFacility.query(
    "tradefinance.facility",
    http="GET /facilities/{facility_id}",
    scope="tradefinance:read",
    title=("Facility", "授信详情"),
    relation=PARTIES,
    example={"facility_id": "fac_0"},
)
def get_facility(ctx: Context, request: GetFacility) -> FacilityView:
    """At the last price, however old; its day is in the valuations."""
    return facility_view(ctx, facilities(ctx).get(request.facility_id))


class LoanList(Answer):
    """Loans of a facility."""

    loans: list[LoanView]


class ListLoans(Request[LoanList]):
    """Loans of a facility, the oldest first."""

    facility_id: str = Field(max_length=64)


@ListLoans.query(
    "tradefinance.loans",
    http="GET /facilities/{facility_id}/loans",
    scope="tradefinance:read",
    title=("Loans", "放款记录"),
    relation=PARTIES,
    example={"facility_id": "fac_0"},
)
def list_loans(ctx: Context, request: ListLoans) -> LoanList:
    """Requested, instructed, booked, failed."""
    return LoanList(loans=[loan_view(loan) for loan in loans(ctx).list(facility_id=request.facility_id)])


class InstructionView(Answer):
    """An instruction to the bank; amount in fen."""

    id: str
    kind: str
    amount: int
    debtor: str
    creditor: str
    state: str


class InstructionList(Answer):
    """Instructions of a facility."""

    instructions: list[InstructionView]


class ListInstructions(Request[InstructionList]):
    """Payouts, repayments, sales and surpluses of a facility, the oldest first."""

    facility_id: str = Field(max_length=64)


@ListInstructions.query(
    "tradefinance.instructions",
    http="GET /facilities/{facility_id}/instructions",
    scope="tradefinance:read",
    title=("Bank instructions", "银行指令"),
    relation=PARTIES,
    example={"facility_id": "fac_0"},
)
def list_instructions(ctx: Context, request: ListInstructions) -> InstructionList:
    """With the bank's answer."""
    return InstructionList(
        instructions=[
            InstructionView(id=i.id, kind=i.kind, amount=i.amount, debtor=i.debtor, creditor=i.creditor, state=i.state)
            for i in instructions(ctx).list(facility_id=request.facility_id)
        ]
    )


class ValuationView(Answer):
    """A valuation; price in fen per tonne, value and debt in fen."""

    at: datetime
    day: str
    price: int
    value: int
    debt: int
    ltv_bp: int
    level: str


class ValuationList(Answer):
    """Valuations by day."""

    valuations: list[ValuationView]


class ListValuations(Request[ValuationList]):
    """Loan-to-value of a facility, day by day."""

    facility_id: str = Field(max_length=64)
    limit: int = Field(1_000, ge=1, le=5_000)


@ListValuations.query(
    "tradefinance.valuations",
    http="GET /facilities/{facility_id}/valuations",
    scope="tradefinance:read",
    title=("Loan-to-value over time", "质押率走势"),
    relation=PARTIES,
    example={"facility_id": "fac_0"},
)
def list_valuations(ctx: Context, request: ListValuations) -> ValuationList:
    """Oldest first."""
    found = valuations(ctx).list(facility_id=request.facility_id, limit=request.limit)
    return ValuationList(
        valuations=[
            ValuationView(
                at=from_us(v.at), day=v.day, price=v.price, value=v.value, debt=v.debt, ltv_bp=v.ltv_bp, level=v.level
            )
            for v in found
        ]
    )
