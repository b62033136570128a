"""Queries of warehousing."""

from datetime import datetime

from pydantic import Field

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import Answer, Conflict, Context, Request, related
from entrepot.systems.warehousing.contract import GetReceipt, ReceiptView
from entrepot.systems.warehousing.model import Tank
from entrepot.systems.warehousing.receipts import view
from entrepot.systems.warehousing.rules import agrees
from entrepot.systems.warehousing.stock import book_kg, receipts, sensed, tanks

SUPERVISE = "warehousing:supervise"


class TankView(Answer):
    """A tank: book beside sensor. `sensed_kg` is None while the gauge is silent; `trouble` says why."""

    id: str
    name: str
    name_zh: str
    site: str
    custodian: str
    device_id: str
    commodity: str
    asset: str
    capacity_kg: int
    height_mm: int
    book_kg: int
    sensed_kg: int | None
    level_mm: int | None
    water_mm: int | None
    temperature_c: float | None
    density_kg_m3: float | None
    reading_at: datetime | None
    agrees: bool | None
    trouble: str


class TankList(Answer):
    """Tanks, by id."""

    tanks: list[TankView]


class ListTanks(Request[TankList]):
    """The tenant's tanks, with book and sensor side by side."""


@ListTanks.query("warehousing.tanks", http="GET /tanks", scope="warehousing:read", title=("Tanks", "储罐"))
def list_tanks(ctx: Context, request: ListTanks) -> TankList:
    """All parties of the region see the tanks; whose goods lie in them, they do not."""
    return TankList(tanks=[_tank(ctx, tank) for tank in tanks(ctx).list()])


class GetTank(Request[TankView]):
    """One tank."""

    tank_id: str = Field(max_length=64)


@GetTank.query("warehousing.tank", http="GET /tanks/{tank_id}", scope="warehousing:read", title=("Tank", "储罐详情"),
               example={"tank_id": "tk-900"})  # fmt: skip
def get_tank(ctx: Context, request: GetTank) -> TankView:
    """Book, level, water, temperature."""
    return _tank(ctx, tanks(ctx).get(request.tank_id))


class ReceiptList(Answer):
    """Receipts, the oldest first."""

    receipts: list[ReceiptView]


class ListReceipts(Request[ReceiptList]):
    """Receipts to which your party is owner, custodian or creditor; all for a supervisor."""

    tank_id: str = Field("", max_length=64)
    limit: int = Field(500, ge=1, le=5_000)


@ListReceipts.query(
    "warehousing.receipts", http="GET /receipts", scope="warehousing:read", title=("Receipts", "仓单列表")
)
def list_receipts(ctx: Context, request: ListReceipts) -> ReceiptList:
    """By relation."""
    if SUPERVISE in ctx.actor.scopes:
        found = receipts(ctx).list(limit=request.limit)
    else:
        ids = ctx.relations.objects(
            ctx.actor.party, ("owner", "custodian", "creditor"), prefix="rcp_", limit=request.limit
        )
        found = [receipts(ctx).get(receipt_id) for receipt_id in ids]
    return ReceiptList(receipts=[view(ctx, receipt) for receipt in found if request.tank_id in ("", receipt.tank_id)])


@GetReceipt.query(
    "warehousing.receipt",
    http="GET /receipts/{receipt_id}",
    scope="warehousing:read",
    title=("Receipt", "仓单详情"),
    relation=related("receipt_id", "owner", "custodian", "creditor", "supervisor"),
    example={"receipt_id": "rcp_0"},
)
def get_receipt(ctx: Context, request: GetReceipt) -> ReceiptView:
    """With its quantity from the ledger."""
    return view(ctx, receipts(ctx).get(request.receipt_id))


def _tank(ctx: Context, tank: Tank) -> TankView:
    book = book_kg(ctx, tank)
    reading = ctx.things.latest(tank.device_id)
    seen, trouble = None, ""
    try:
        seen = sensed(ctx, tank)
    except Conflict as silent:
        trouble = silent.detail
    return TankView(
        id=tank.id,
        name=tank.name,
        name_zh=tank.name_zh,
        site=tank.site,
        custodian=tank.custodian,
        device_id=tank.device_id,
        commodity=tank.commodity,
        asset=tank.asset,
        capacity_kg=tank.capacity_kg,
        height_mm=tank.height_mm,
        book_kg=book,
        sensed_kg=seen.kilograms if seen else None,
        level_mm=seen.level_mm if seen else None,
        water_mm=seen.water_mm if seen else None,
        temperature_c=seen.temperature_c if seen else None,
        density_kg_m3=seen.density_kg_m3 if seen else None,
        reading_at=from_us(reading.at_us) if reading else None,
        agrees=agrees(book, seen.kilograms, tank.tolerance_bp) if seen and book else None,
        trouble=trouble,
    )
