"""Payouts through a bank: instructed → confirmed, failed or returned.

The operator keeps no client money, so a payment is first only a wish: the amount is held, the bank is asked after the
transaction, and its answer captures the hold or frees it. A payout never expires by itself, because the bank may have
paid: reconciliation decides. What comes back after confirmation is posted the other way round, whole and once.
"""

from typing import TYPE_CHECKING

from entrepot.kernel.ledger.states import HoldStatus, Transfer
from entrepot.kernel.ledger.values import Payout, PayoutStatus

if TYPE_CHECKING:
    from entrepot.kernel.ledger.service import Ledger

_STATUS: dict[HoldStatus, PayoutStatus] = {
    "open": "instructed",
    "captured": "confirmed",
    "released": "failed",
    "expired": "failed",
    "returned": "returned",
}


def instruct(ledger: "Ledger", debit: int, credit: int, amount: int, reference: str) -> int:
    """Hold `amount` on the payer's account for the issuer's (or another settling) account; the hold's id."""
    return ledger.hold(debit, credit, amount, reference=reference)


def confirm(ledger: "Ledger", hold: int, reference: str) -> Payout:
    """The bank has paid."""
    ledger.capture(hold, reference=reference)
    return of(ledger, hold)


def fail(ledger: "Ledger", hold: int, reference: str) -> Payout:
    """The bank has refused."""
    ledger.release(hold, reference=reference)
    return of(ledger, hold)


def give_back(ledger: "Ledger", hold: int, reference: str) -> Payout:
    """The money came back to the bank after it was paid."""
    known = ledger.hold_record(hold)
    transfer = Transfer(known.credit, known.debit, known.captured or known.amount, hold=hold, reference=reference)
    ledger.post((transfer,), reference=reference)
    return of(ledger, hold)


def of(ledger: "Ledger", hold: int) -> Payout:
    """The payout that a hold stands for."""
    known = ledger.hold_record(hold)
    amount = known.captured or known.amount
    return Payout(hold, known.debit, known.credit, amount, _STATUS[known.status])
