"""The measured operation: a shipment, as a system of Entrepot writes it, with every kernel service it needs.

One command: idempotency key, event, two postings (a transfer of goods: one debit, one credit), an inspection case with
a deadline, and the shipment's own record. The two balances, the ledger's batch, the case's first entry and the queue of
the sealer come on top.
"""

from entrepot.kernel.casework.types import Action, CaseType, define
from entrepot.kernel.database.records import Record, Records, record
from entrepot.kernel.ledger import Transfer
from entrepot.kernel.operations import Answer, Context, Request, System, own_party

GOODS = "COPPER"
ISSUER = "mine"
STOCK = 1_000_000_000

manifest = System(
    name="shipping",
    title=("Shipping", "运输"),
    summary="The measured operation.",
    operations=("benchmarks.operation.shipping",),
    tables=("entrepot.kernel.parties.tables", "entrepot.kernel.casework.tables"),
    roles={"shipper": ("shipping:ship",)},
)

INSPECTION = define(
    CaseType(
        "bench-inspection",
        ("Inspection", "检验"),
        "open",
        ("closed",),
        (Action("close", ("Close", "结案"), ("open",), "closed"),),
        hours={"open": 24},
    )
)


@record("bench_shipments")
class ShipmentRecord(Record):
    id: str
    seller: str
    buyer: str
    amount: int
    at_us: int


class Shipment(Answer):
    """The shipment that was made."""

    id: str
    case_id: str


class Stocked(Answer):
    """The parties have goods."""


class Stock(Request[Stocked]):
    """Give `parties` parties goods to ship."""

    parties: int


class Ship(Request[Shipment]):
    """Ship goods to a buyer."""

    seller: str
    buyer: str
    amount: int


@Stock.command("shipping.stock", http="POST /stock", scope="shipping:ship", title=("Stock", "备货"))
def stock(ctx: Context, request: Stock) -> Stocked:
    ctx.ledger.define_asset(GOODS, 0, "goods", ISSUER)
    mine = ctx.ledger.account(ISSUER, GOODS, "issue", may_go_negative=True)
    accounts = [ctx.ledger.account(f"p{number}", GOODS) for number in range(request.parties)]
    ctx.ledger.post([Transfer(mine, account, STOCK) for account in accounts])
    return Stocked()


@Ship.command(
    "shipping.ship",
    http="POST /ship",
    scope="shipping:ship",
    title=("Ship", "发运"),
    relation=own_party("seller"),
)
def ship(ctx: Context, request: Ship) -> Shipment:
    shipment = ctx.new_id("shp")
    ledger = ctx.ledger
    seller, buyer = ledger.account(request.seller, GOODS), ledger.account(request.buyer, GOODS)
    ledger.post([Transfer(seller, buyer, request.amount)], reference=shipment)
    case_id = ctx.cases.open(INSPECTION.name, shipment, ("Inspect", "检验"), party=request.buyer)
    row = ShipmentRecord(shipment, request.seller, request.buyer, request.amount, ctx.now_us)
    Records(ctx.uow, ctx.tenant, ShipmentRecord).add(row)
    return Shipment(id=shipment, case_id=case_id)
