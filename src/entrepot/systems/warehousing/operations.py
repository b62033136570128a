"""Commands of warehousing: goods in and out, receipts, reconciliation."""

import hashlib
import itertools
import json
from typing import Any

from pydantic import Field

from entrepot.kernel.casework import Action, CaseType, define
from entrepot.kernel.operations import (
    Answer,
    Conflict,
    Context,
    Invalid,
    Request,
    canonical,
    creditor_of,
    custodian_of,
    own_party,
    owner_of,
    related,
)
from entrepot.systems.warehousing.contract import (
    COMMODITIES,
    DisposeReceipt,
    HoldReceipt,
    ReceiptView,
    ReleaseReceipt,
)
from entrepot.systems.warehousing.model import Receipt, Tank
from entrepot.systems.warehousing.rules import agrees, supported, tolerance_kg
from entrepot.systems.warehousing.stock import (
    book_kg,
    free_account,
    issue_account,
    quantity_kg,
    receipt_account,
    receipts,
    sensed,
    tanks,
)

MAX_KG = 10**12
DISCREPANCY = define(
    CaseType(
        "stock_discrepancy",
        ("Book and sensor disagree", "账实不符"),
        "open",
        ("explained", "corrected"),
        (
            Action("explain", ("Explain", "说明"), ("open",), "explained", ("party", "supervisor"), needs=("note",)),
            Action("correct", ("Correct the book", "调整账面"), ("open",), "corrected", ("party",), needs=("note",)),
        ),
        states={
            "open": ("Open", "待处理"),
            "explained": ("Explained", "已说明"),
            "corrected": ("Corrected", "已调整"),
        },
        hours={"open": 4},
    )
)


class TankRegistered(Answer):
    """The tank and the ledger asset of its goods."""

    id: str
    asset: str


class RegisterTank(Request[TankRegistered]):
    """Register a tank with its strapping table and its level gauge."""

    tank_id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{1,30}$", description="Short name, such as tk-101")
    name: str = Field(min_length=1, max_length=100)
    name_zh: str = Field(min_length=1, max_length=100)
    site: str = Field(min_length=1, max_length=100)
    custodian: str = Field(max_length=64, description="Your own party: who keeps the tank")
    device_id: str = Field(min_length=1, max_length=64, description="The gauge")
    commodity: COMMODITIES = "crude_oil"
    strapping: list[tuple[int, int]] = Field(
        min_length=2, max_length=5_000, description="[level mm, litres] pairs, ascending (ISO 7507)"
    )
    capacity_kg: int = Field(gt=0, le=MAX_KG)
    tolerance_bp: int = Field(50, ge=0, le=1_000, description="Allowed difference of book and sensor, basis points")
    stale_after_s: int = Field(600, ge=10, le=86_400, description="Age at which a reading no longer counts")


@RegisterTank.command(
    "warehousing.register_tank",
    http="POST /tanks",
    scope="warehousing:keep",
    title=("Register tank", "登记储罐"),
    relation=own_party("custodian"),
    subject="tank_id",
    example={
        "tank_id": "tk-900",
        "name": "Tank 900",
        "name_zh": "900 号罐",
        "site": "Lanzhou north",
        "custodian": "org_0",
        "device_id": "gauge-900",
        "strapping": [[0, 0], [10_000, 5_000_000]],
        "capacity_kg": 4_000_000,
    },
)
def register_tank(ctx: Context, request: RegisterTank) -> TankRegistered:
    """The goods of a commingled tank are one asset: owners hold shares in common."""
    levels = [level for level, _ in request.strapping]
    volumes = [litres for _, litres in request.strapping]
    rising = all(a < b for a, b in itertools.pairwise(levels))
    if not rising or any(a > b for a, b in itertools.pairwise(volumes)) or levels[0] < 0 or volumes[0] < 0:
        raise Invalid("warehousing/strapping", "A strapping table rises: each level and volume above the one before.")
    if tanks(ctx).find(request.tank_id) is not None:
        raise Conflict("warehousing/tank-exists", f"There is a tank {request.tank_id} already.")
    asset = f"{request.commodity}.{request.tank_id}"
    ctx.ledger.define_asset(asset, 0, "goods", request.custodian, unit="kg", commodity=request.commodity)
    tank = Tank(
        id=request.tank_id,
        name=request.name,
        name_zh=request.name_zh,
        site=request.site,
        custodian=request.custodian,
        device_id=request.device_id,
        commodity=request.commodity,
        asset=asset,
        height_mm=levels[-1],
        strapping=json.dumps([list(pair) for pair in request.strapping], separators=(",", ":")),
        capacity_kg=request.capacity_kg,
        tolerance_bp=request.tolerance_bp,
        stale_after_s=request.stale_after_s,
    )
    tanks(ctx).add(tank)
    ctx.ledger.balance(issue_account(ctx, tank))
    ctx.relations.add(tank.id, "custodian", request.custodian)
    return TankRegistered(id=tank.id, asset=asset)


class GoodsMoved(Answer):
    """Goods booked in or out, with book and sensor after it."""

    tank_id: str
    owner: str
    quantity_kg: int
    book_kg: int
    sensed_kg: int


class GoodsIn(Request[GoodsMoved]):
    """Book goods in for an owner; refused where the gauge does not see them."""

    tank_id: str = Field(max_length=64)
    owner: str = Field(min_length=1, max_length=64, description="Party that owns the goods")
    quantity_kg: int = Field(gt=0, le=MAX_KG)
    document: str = Field("", max_length=128, description="Weighbridge ticket or bill, by digest")


@GoodsIn.command(
    "warehousing.goods_in",
    http="POST /tanks/{tank_id}/goods-in",
    scope="warehousing:keep",
    title=("Book goods in", "入库"),
    relation=custodian_of("tank_id"),
    example={"tank_id": "tk-900", "owner": "org_1", "quantity_kg": 1_000_000},
)
def goods_in(ctx: Context, request: GoodsIn) -> GoodsMoved:
    """The evidence goes into the event: what the gauge saw when the goods were booked."""
    tank = tanks(ctx).lock(request.tank_id)
    ctx.parties.organisation(request.owner)
    book, seen = book_kg(ctx, tank), sensed(ctx, tank)
    after = book + request.quantity_kg
    if after > tank.capacity_kg:
        raise Conflict(
            "warehousing/over-capacity", f"{tank.id} takes {tank.capacity_kg} kg; {after} kg would be booked."
        )
    if not supported(after, seen.kilograms, tank.tolerance_bp):
        raise Conflict(
            "warehousing/not-sensed",
            f"The gauge sees {seen.kilograms} kg in {tank.id}; {book} kg are booked, so {request.quantity_kg} kg more "
            "are not there.",
            sensed_kg=seen.kilograms,
            book_kg=book,
        )
    ctx.ledger.transfer(
        issue_account(ctx, tank), free_account(ctx, request.owner, tank.asset), request.quantity_kg,
        reference=f"goods-in {tank.id}",
    )  # fmt: skip
    _emit_evidence(ctx, tank, "goods_in", seen.kilograms, after)
    return GoodsMoved(
        tank_id=tank.id,
        owner=request.owner,
        quantity_kg=request.quantity_kg,
        book_kg=after,
        sensed_kg=seen.kilograms,
    )


class GoodsOut(Request[GoodsMoved]):
    """Book goods out at the gate; only goods without receipt and pledge can leave."""

    tank_id: str = Field(max_length=64)
    owner: str = Field(min_length=1, max_length=64)
    quantity_kg: int = Field(gt=0, le=MAX_KG)
    delivery_order: str = Field(min_length=1, max_length=128, description="Number or digest of the owner's order")


@GoodsOut.command(
    "warehousing.goods_out",
    http="POST /tanks/{tank_id}/goods-out",
    scope="warehousing:keep",
    title=("Book goods out", "出库"),
    confirm=True,
    relation=custodian_of("tank_id"),
    example={"tank_id": "tk-900", "owner": "org_1", "quantity_kg": 1_000, "delivery_order": "DO-1"},
)
def goods_out(ctx: Context, request: GoodsOut) -> GoodsMoved:
    """What is under a receipt or a pledge does not pass the gate."""
    tank = tanks(ctx).lock(request.tank_id)
    account = free_account(ctx, request.owner, tank.asset)
    free = ctx.ledger.balance(account).available
    if free < request.quantity_kg:
        raise Conflict(
            "warehousing/not-free",
            f"{request.owner} has {free} kg in {tank.id} without receipt or pledge; {request.quantity_kg} kg cannot "
            "leave.",
            free_kg=free,
        )
    ctx.ledger.transfer(
        account, issue_account(ctx, tank), request.quantity_kg, reference=f"goods-out {request.delivery_order}"
    )
    book = book_kg(ctx, tank)
    reading = ctx.things.latest(tank.device_id)
    seen = sensed(ctx, tank).kilograms if reading is not None else 0
    _emit_evidence(ctx, tank, "goods_out", seen, book)
    return GoodsMoved(
        tank_id=tank.id, owner=request.owner, quantity_kg=request.quantity_kg, book_kg=book, sensed_kg=seen
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


class Reconciled(Answer):
    """Book and sensor of a tank side by side; `case_id` is set where they disagree."""

    tank_id: str
    book_kg: int
    sensed_kg: int
    difference_kg: int
    tolerance_kg: int
    agrees: bool
    case_id: str


class Reconcile(Request[Reconciled]):
    """Compare a tank's book with its gauge; a difference beyond tolerance opens a case."""

    tank_id: str = Field(max_length=64)


@Reconcile.command(
    "warehousing.reconcile",
    http="POST /tanks/{tank_id}/reconciliation",
    scope="warehousing:read",
    title=("Reconcile tank", "账实核对"),
    relation=related("tank_id", "custodian", "supervisor"),
    example={"tank_id": "tk-900"},
)
def reconcile(ctx: Context, request: Reconcile) -> Reconciled:
    """One open case for a tank is enough."""
    tank = tanks(ctx).get(request.tank_id)
    seen, book = sensed(ctx, tank).kilograms, book_kg(ctx, tank)
    fine = agrees(book, seen, tank.tolerance_bp) if book else True
    case_id = "" if fine else _discrepancy(ctx, tank, book, seen)
    return Reconciled(
        tank_id=tank.id,
        book_kg=book,
        sensed_kg=seen,
        difference_kg=seen - book,
        tolerance_kg=tolerance_kg(book, tank.tolerance_bp),
        agrees=fine,
        case_id=case_id,
    )


def _discrepancy(ctx: Context, tank: Tank, book: int, seen: int) -> str:
    known = ctx.cases.list(type=DISCREPANCY.name, subject=tank.id, limit=1)
    if known:
        return known[0].id
    creditors = {r.pledgee for r in receipts(ctx).list(tank_id=tank.id, state="pledged")}
    figures = f"{tank.id}: {book:,} kg in the book, {seen:,} kg sensed"
    case_id = ctx.cases.open(
        DISCREPANCY.name,
        tank.id,
        (f"Book and sensor disagree at {figures}", f"账实不符 {tank.id}：账面 {book:,} kg，感知 {seen:,} kg"),
        party=tank.custodian,
        data={"book_kg": book, "sensed_kg": seen},
        parties=tuple(("creditor", creditor) for creditor in sorted(creditors)),
    )
    for party in (tank.custodian, *sorted(creditors)):
        ctx.notices.send(
            party, "discrepancy", ("Book and sensor disagree", "账实不符"), (figures, figures), subject=case_id
        )
    return case_id


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
    from entrepot.kernel.database.schema import from_us

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


def _emit_evidence(ctx: Context, tank: Tank, kind: str, seen: int, book: int) -> None:
    reading = ctx.things.latest(tank.device_id)
    if reading is not None:
        ctx.emit(
            f"warehousing.{kind}_evidence",
            {"device": tank.device_id, "seq": reading.seq, "sensed_kg": seen, "book_kg": book},
            tank.id,
        )
