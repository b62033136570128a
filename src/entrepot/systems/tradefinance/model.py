"""Records of trade finance. Debts, cash and goods are balances on the ledger, never here."""

from entrepot.kernel.database.records import Record, record


@record("tf_facilities", index=(("lender",), ("borrower",), ("series", "state")), label="facility")
class Facility(Record):
    """A facility to lend against pledged goods. Rates and lines are basis points; `signed_by` is a JSON list.

    `asset` is the claim of the lender on the borrower; `accrued_to` an ISO day; `carry` the fraction of a fen of
    interest not yet booked.
    """

    id: str
    lender: str
    borrower: str
    custodian: str
    asset: str
    series: str
    state: str
    level: str
    advance_rate_bp: int
    warning_bp: int
    top_up_bp: int
    disposal_bp: int
    rate_bp: int
    day_count: str
    cure_hours: int
    notice_hours: int
    disposal_discount_bp: int
    disposal_cost_bp: int
    disposal_buyer: str
    signed_by: str
    certificate: str
    certified_at: int
    registration: str
    registered_until: int
    accrued_to: str
    carry: int
    call_case: str
    disposal_case: str
    opened_at: int


@record("tf_pledges", index=(("facility_id", "state"),), label="pledge")
class Pledge(Record):
    """A receipt that secures a facility; how many kilograms, its encumbrance on the ledger says."""

    id: str
    facility_id: str
    receipt_id: str
    encumbrance: str
    state: str
    pledged_at: int


@record("tf_loans", index=(("facility_id",),), label="loan")
class Loan(Record):
    """A request to draw on a facility; the claim that follows from it is on the ledger."""

    id: str
    facility_id: str
    state: str
    amount: int
    requested_by: str
    instruction_id: str
    requested_at: int


@record("tf_instructions", index=(("facility_id",),), label="instruction")
class Instruction(Record):
    """An instruction to the bank: a payout of a loan, or the collection of a repayment. `hold` is its ledger hold."""

    id: str
    kind: str
    facility_id: str
    loan_id: str
    amount: int
    debtor: str
    creditor: str
    hold: str
    state: str
    instructed_at: int


@record("tf_valuations", key=("facility_id", "at"), label="valuation")
class Valuation(Record):
    """What a facility's collateral was worth at a time, by the price of a day; amounts in fen."""

    facility_id: str
    at: int
    day: str
    price: int
    value: int
    debt: int
    ltv_bp: int
    level: str
