"""What other systems may ask of warehousing."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from entrepot.kernel.operations import Answer, Request

ReceiptState = Literal["issued", "pledged", "cancelled", "disposed"]
COMMODITIES = Literal["crude_oil"]


class ReceiptView(Answer):
    """An electronic warehouse receipt; `quantity_kg` is what the ledger says it stands for."""

    id: str
    number: str
    state: ReceiptState
    tank_id: str
    commodity: str
    asset: str
    owner: str
    custodian: str
    pledgee: str
    encumbrance: str
    quantity_kg: int
    issued_at: datetime
    fingerprint: str


class GetReceipt(Request[ReceiptView]):
    """A receipt as the register has it: whoever is shown one compares it here."""

    receipt_id: str = Field(max_length=64, description="Id of the receipt")


class HoldReceipt(Request[ReceiptView]):
    """Pledge all the goods of a receipt to a creditor; the same goods cannot be pledged again."""

    receipt_id: str = Field(max_length=64, description="Receipt in state issued")
    in_favour_of: str = Field(max_length=64, description="The creditor's party id")
    reference: str = Field(max_length=64, description="What the pledge secures, such as a facility id")


class ReleaseReceipt(Request[ReceiptView]):
    """Give pledged goods of a receipt free again."""

    receipt_id: str = Field(max_length=64)


class DisposeReceipt(Request[ReceiptView]):
    """Pass the pledged goods of a receipt to a buyer after a lawful disposal; the receipt ends, the buyer gets one."""

    receipt_id: str = Field(max_length=64)
    buyer: str = Field(max_length=64, description="The buyer's party id")
    reference: str = Field(max_length=64, description="The disposal that it follows from")
