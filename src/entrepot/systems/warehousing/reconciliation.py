"""Book against sensor: the command that compares them, and the case that a difference opens."""

from pydantic import Field

from entrepot.kernel.casework import Action, CaseType, define
from entrepot.kernel.operations import Answer, Context, Request, related
from entrepot.systems.warehousing.model import Tank
from entrepot.systems.warehousing.rules import agrees, tolerance_kg
from entrepot.systems.warehousing.stock import book_kg, receipts, sensed, tanks

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
