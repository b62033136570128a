"""The goods of a tank: accounts on the ledger, and what the sensor says beside them."""

import json
from functools import lru_cache

from entrepot.kernel.database.records import Records
from entrepot.kernel.operations import Conflict, Context
from entrepot.systems.warehousing.model import Receipt, Tank
from entrepot.systems.warehousing.rules import Sensed, sense

ISSUE = "stock"


def tanks(ctx: Context) -> Records[Tank]:
    """The tenant's tanks."""
    return Records(ctx.uow, ctx.tenant, Tank)


def receipts(ctx: Context) -> Records[Receipt]:
    """The tenant's receipts."""
    return Records(ctx.uow, ctx.tenant, Receipt)


def issue_account(ctx: Context, tank: Tank) -> int:
    """The custodian's account from which goods enter the ledger: minus what lies in the tank by the book."""
    return ctx.ledger.account(tank.custodian, tank.asset, ISSUE, may_go_negative=True)


def free_account(ctx: Context, owner: str, asset: str) -> int:
    """An owner's goods without a receipt."""
    return ctx.ledger.account(owner, asset)


def receipt_account(ctx: Context, receipt: Receipt, owner: str = "") -> int:
    """The account in which a receipt's goods lie while they are not pledged."""
    return ctx.ledger.account(owner or receipt.owner, receipt.asset, f"receipt:{receipt.id}")


def book_kg(ctx: Context, tank: Tank) -> int:
    """Kilograms in the tank by the book, whoever owns them."""
    return -ctx.ledger.balance(issue_account(ctx, tank)).posted


def quantity_kg(ctx: Context, receipt: Receipt) -> int:
    """Kilograms that a receipt stands for, pledged or not."""
    if receipt.state == "issued":
        return ctx.ledger.balance(receipt_account(ctx, receipt)).posted
    if receipt.state == "pledged":
        return ctx.ledger.encumbrance(receipt.encumbrance).amount
    return 0


@lru_cache(maxsize=1024)  # a reading is looked at by every operation on its tank until the next one comes
def _sense(strapping: str, level_mm: float, water_mm: float, temperature_c: float, density_kg_m3: float) -> Sensed:
    return sense(json.loads(strapping), level_mm, water_mm, temperature_c, density_kg_m3)


def sensed(ctx: Context, tank: Tank) -> Sensed:
    """What the gauge says now. Raises Conflict when it never spoke or has fallen silent."""
    reading = ctx.things.latest(tank.device_id)
    if reading is None:
        raise Conflict("warehousing/gauge-silent", f"The gauge {tank.device_id} has not reported yet.")
    age_s = (ctx.now_us - reading.at_us) // 1_000_000
    if age_s > tank.stale_after_s:
        raise Conflict(
            "warehousing/gauge-stale",
            f"The last reading of {tank.device_id} is {age_s} s old; {tank.stale_after_s} s are allowed.",
            age_s=age_s,
        )
    values = reading.values
    try:
        return _sense(
            tank.strapping,
            values["level_mm"],
            values.get("water_mm", 0.0),
            values["temperature_c"],
            values["density_kg_m3"],
        )
    except KeyError as missing:
        raise Conflict(
            "warehousing/gauge-incomplete", f"The gauge {tank.device_id} does not report {missing.args[0]}."
        ) from None
