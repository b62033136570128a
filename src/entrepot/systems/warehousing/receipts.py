"""Commands of warehousing on receipts: issue, transfer, cancel; hold, release and dispose for a lending system."""

import hashlib
from typing import Any

from pydantic import Field

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import (
    Conflict,
    Context,
    Invalid,
    Request,
    canonical,
    creditor_of,
    custodian_of,
    owner_of,
)
from entrepot.systems.warehousing.contract import DisposeReceipt, HoldReceipt, ReceiptView, ReleaseReceipt
from entrepot.systems.warehousing.model import Receipt, Tank
from entrepot.systems.warehousing.rules import MAX_KG, supported
from entrepot.systems.warehousing.stock import (
    book_kg,
    free_account,
    quantity_kg,
    receipt_account,
    receipts,
    sensed,
    tanks,
)


class IssueReceipt(Request[ReceiptView]):
    """Issue an electronic warehouse receipt over an owner's goods; they are locked under it."""

    tank_id: str = Field(max_length=64)
    owner: str = Field(min_length=1, max_length=64)
    quantity_kg: int = Field(gt=0, le=MAX_KG)


@IssueReceipt.command(
    "warehousing.issue_receipt",
    http="POST /tanks/{tank_id}/receipts",
    scope="warehousing:keep",
    title=("Issue receipt", "签发仓单"),
    relation=custodian_of("tank_id"),
    subject="id",
    example={"tank_id": "tk-900", "owner": "org_1", "quantity_kg": 500_000},
)
def issue_receipt(ctx: Context, request: IssueReceipt) -> ReceiptView:
    """Refused when the gauge no longer carries the book, however much was booked in."""
    tank = tanks(ctx).lock(request.tank_id)
    seen, book = sensed(ctx, tank), book_kg(ctx, tank)
    if not supported(book, seen.kilograms, tank.tolerance_bp):
        raise Conflict(
            "warehousing/not-sensed",
            f"The gauge sees {seen.kilograms} kg in {tank.id} for {book} kg in the book; no receipt is issued on it.",
            sensed_kg=seen.kilograms,
            book_kg=book,
        )
    return _new_receipt(ctx, tank, request.owner, request.quantity_kg, free_account(ctx, request.owner, tank.asset))


@HoldReceipt.command(
    "warehousing.hold",
    http="POST /receipts/{receipt_id}/pledge",
    scope="warehousing:encumber",
    title=("Hold receipt for creditor", "仓单质押锁定"),
    confirm=True,
    relation=owner_of("receipt_id"),
    example={"receipt_id": "rcp_0", "in_favour_of": "org_2", "reference": "fac_0"},
)
def hold_receipt(ctx: Context, request: HoldReceipt) -> ReceiptView:
    """The whole quantity moves to the owner's account in favour of the creditor: it can be there only once.

    No role holds the permission of this, of release or of disposal: a lending system calls them with its own rules.
    """
    receipt = receipts(ctx).lock(request.receipt_id)
    _must_be(receipt, "issued")
    tank = tanks(ctx).get(receipt.tank_id)
    seen, book = sensed(ctx, tank), book_kg(ctx, tank)
    if not supported(book, seen.kilograms, tank.tolerance_bp):
        raise Conflict(
            "warehousing/not-sensed",
            f"The gauge sees {seen.kilograms} kg in {tank.id} for {book} kg in the book; nothing on it can be pledged.",
            sensed_kg=seen.kilograms,
            book_kg=book,
        )
    amount = quantity_kg(ctx, receipt)
    claim = ctx.ledger.encumber(
        receipt_account(ctx, receipt), request.in_favour_of, amount, "pledge", reference=receipt.id
    )
    held = receipts(ctx).change(
        receipt,
        state="pledged",
        pledgee=request.in_favour_of,
        encumbrance=claim.id,
        reference=request.reference,
    )
    ctx.relations.add(receipt.id, "creditor", request.in_favour_of, fresh=True)  # what is issued has no creditor
    return view(ctx, held)


@ReleaseReceipt.command(
    "warehousing.release",
    http="POST /receipts/{receipt_id}/release",
    scope="warehousing:encumber",
    title=("Release receipt", "解除质押"),
    confirm=True,
    relation=creditor_of("receipt_id"),
    example={"receipt_id": "rcp_0"},
)
def release_receipt(ctx: Context, request: ReleaseReceipt) -> ReceiptView:
    """Only the creditor gives the goods free, through the system that holds them."""
    receipt = receipts(ctx).lock(request.receipt_id)
    _must_be(receipt, "pledged")
    ctx.ledger.release_encumbrance(receipt.encumbrance)
    ctx.relations.end(receipt.id, "creditor", receipt.pledgee)
    return view(ctx, receipts(ctx).change(receipt, state="issued", pledgee="", encumbrance="", reference=""))


@DisposeReceipt.command(
    "warehousing.dispose",
    http="POST /receipts/{receipt_id}/disposal",
    scope="warehousing:encumber",
    title=("Pass goods to buyer", "处置过户"),
    confirm=True,
    relation=creditor_of("receipt_id"),
    example={"receipt_id": "rcp_0", "buyer": "org_3", "reference": "cas_0"},
)
def dispose_receipt(ctx: Context, request: DisposeReceipt) -> ReceiptView:
    """The pledge ends in the buyer's ownership, under a new receipt; never at a creditor's own word (流质)."""
    receipt = receipts(ctx).lock(request.receipt_id)
    _must_be(receipt, "pledged")
    tank = tanks(ctx).get(receipt.tank_id)
    amount = quantity_kg(ctx, receipt)
    ctx.ledger.release_encumbrance(receipt.encumbrance)
    source = receipt_account(ctx, receipt)
    receipts(ctx).change(receipt, state="disposed", pledgee="", encumbrance="", reference=request.reference)
    ctx.relations.end(receipt.id, "creditor", receipt.pledgee)
    return _new_receipt(ctx, tank, request.buyer, amount, source)


class TransferReceipt(Request[ReceiptView]):
    """Transfer a receipt, and so the goods, to another owner."""

    receipt_id: str = Field(max_length=64)
    new_owner: str = Field(min_length=1, max_length=64)


@TransferReceipt.command(
    "warehousing.transfer_receipt",
    http="POST /receipts/{receipt_id}/transfer",
    scope="warehousing:own",
    title=("Transfer receipt", "仓单转让"),
    confirm=True,
    relation=owner_of("receipt_id"),
    example={"receipt_id": "rcp_0", "new_owner": "org_4"},
)
def transfer_receipt(ctx: Context, request: TransferReceipt) -> ReceiptView:
    """A pledged one stays where it is."""
    receipt = receipts(ctx).lock(request.receipt_id)
    _must_be(receipt, "issued")
    ctx.parties.organisation(request.new_owner)
    if request.new_owner == receipt.owner:
        raise Invalid("warehousing/same-owner", f"{receipt.owner} owns {receipt.id} already.")
    ctx.ledger.transfer(
        receipt_account(ctx, receipt),
        receipt_account(ctx, receipt, request.new_owner),
        quantity_kg(ctx, receipt),
        reference=receipt.id,
    )
    ctx.relations.end(receipt.id, "owner", receipt.owner)
    ctx.relations.add(receipt.id, "owner", request.new_owner)
    return view(ctx, receipts(ctx).change(receipt, owner=request.new_owner))


class CancelReceipt(Request[ReceiptView]):
    """Cancel a receipt at its owner's request; the goods are free for delivery."""

    receipt_id: str = Field(max_length=64)


@CancelReceipt.command(
    "warehousing.cancel_receipt",
    http="POST /receipts/{receipt_id}/cancellation",
    scope="warehousing:own",
    title=("Cancel receipt", "注销仓单"),
    confirm=True,
    relation=owner_of("receipt_id"),
    example={"receipt_id": "rcp_0"},
)
def cancel_receipt(ctx: Context, request: CancelReceipt) -> ReceiptView:
    """A cancelled receipt shown later is seen to be cancelled."""
    receipt = receipts(ctx).lock(request.receipt_id)
    _must_be(receipt, "issued")
    ctx.ledger.transfer(
        receipt_account(ctx, receipt),
        free_account(ctx, receipt.owner, receipt.asset),
        quantity_kg(ctx, receipt),
        reference=receipt.id,
    )
    return view(ctx, receipts(ctx).change(receipt, state="cancelled"))


def _new_receipt(ctx: Context, tank: Tank, owner: str, amount: int, source: int) -> ReceiptView:
    identifier = ctx.new_id("rcp")
    face: dict[str, Any] = {
        "receipt": identifier,
        "tank": tank.id,
        "asset": tank.asset,
        "owner": owner,
        "custodian": tank.custodian,
        "quantity_kg": amount,
        "issued_at_us": ctx.now_us,
    }
    receipt = Receipt(
        id=identifier,
        number=f"{tank.id.upper()}-{identifier[-8:].upper()}",
        tank_id=tank.id,
        asset=tank.asset,
        owner=owner,
        custodian=tank.custodian,
        state="issued",
        pledgee="",
        encumbrance="",
        reference="",
        issued_at=ctx.now_us,
        fingerprint=hashlib.sha256(canonical(face).encode()).hexdigest(),
    )
    ctx.ledger.transfer(source, receipt_account(ctx, receipt), amount, reference=receipt.id)
    receipts(ctx).add(receipt)
    ctx.relations.add(receipt.id, "owner", owner, fresh=True)
    ctx.relations.add(receipt.id, "custodian", tank.custodian, fresh=True)
    return view(ctx, receipt)


def view(ctx: Context, receipt: Receipt) -> ReceiptView:
    """A receipt with its quantity from the ledger."""
    return ReceiptView(
        id=receipt.id,
        number=receipt.number,
        state=receipt.state,  # type: ignore[arg-type]
        tank_id=receipt.tank_id,
        commodity=receipt.asset.partition(".")[0],
        asset=receipt.asset,
        owner=receipt.owner,
        custodian=receipt.custodian,
        pledgee=receipt.pledgee,
        encumbrance=receipt.encumbrance,
        quantity_kg=quantity_kg(ctx, receipt),
        issued_at=from_us(receipt.issued_at),
        fingerprint=receipt.fingerprint,
    )


def _must_be(receipt: Receipt, state: str) -> None:
    if receipt.state != state:
        raise Conflict(
            "warehousing/receipt-state",
            f"The receipt {receipt.number} is {receipt.state}, not {state}.",
            state=receipt.state,
        )
