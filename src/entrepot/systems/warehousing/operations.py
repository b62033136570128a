"""Commands of warehousing on tanks and goods; see also `receipts` and `reconciliation`, whose names stay known here."""

import itertools
import json

from pydantic import Field

from entrepot.kernel.operations import Answer, Conflict, Context, Invalid, Request, custodian_of, own_party
from entrepot.systems.warehousing.contract import COMMODITIES
from entrepot.systems.warehousing.model import Tank
from entrepot.systems.warehousing.receipts import CancelReceipt, IssueReceipt, TransferReceipt, view
from entrepot.systems.warehousing.reconciliation import Reconcile, Reconciled
from entrepot.systems.warehousing.rules import MAX_KG, supported
from entrepot.systems.warehousing.stock import book_kg, free_account, issue_account, sensed, tanks

__all__ = [
    "CancelReceipt",
    "GoodsIn",
    "GoodsMoved",
    "GoodsOut",
    "IssueReceipt",
    "Reconcile",
    "Reconciled",
    "RegisterTank",
    "TankRegistered",
    "TransferReceipt",
    "view",
]


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


def _emit_evidence(ctx: Context, tank: Tank, kind: str, seen: int, book: int) -> None:
    reading = ctx.things.latest(tank.device_id)
    if reading is not None:
        ctx.emit(
            f"warehousing.{kind}_evidence",
            {"device": tank.device_id, "seq": reading.seq, "sensed_kg": seen, "book_kg": book},
            tank.id,
        )
