"""Double-entry ledger: assets, accounts, transfers, holds, encumbrances, statements, verification, export."""

from entrepot.kernel.ledger.claims import Claim, distribute, order, unencumbered
from entrepot.kernel.ledger.export import export_journal
from entrepot.kernel.ledger.layout import account_id
from entrepot.kernel.ledger.service import Ledger
from entrepot.kernel.ledger.states import BATCH_LIMIT, INT64_MAX, Code, Hold, Result, Transfer
from entrepot.kernel.ledger.tables import STREAMS
from entrepot.kernel.ledger.values import AccountRecord, Asset, Balance, Encumbrance, Line, Payout, Statement
from entrepot.kernel.ledger.verification import Difference, verify

__all__ = [
    "BATCH_LIMIT",
    "INT64_MAX",
    "STREAMS",
    "AccountRecord",
    "Asset",
    "Balance",
    "Claim",
    "Code",
    "Difference",
    "Encumbrance",
    "Hold",
    "Ledger",
    "Line",
    "Payout",
    "Result",
    "Statement",
    "Transfer",
    "account_id",
    "distribute",
    "export_journal",
    "order",
    "unencumbered",
    "verify",
]
