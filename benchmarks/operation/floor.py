"""The executor alone: a command of seven plain rows and no kernel service, to part its cost from that of services.

Two of the rows (idempotency, event) are the edge's own; five are staged here.
"""

from sqlalchemy import BigInteger, Column, Table, Text

from entrepot.kernel.database import metadata
from entrepot.kernel.operations import Answer, Context, Request, System, own_party

manifest = System(
    name="floor",
    title=("Floor", "底线"),
    summary="The executor without services.",
    operations=("benchmarks.operation.floor",),
    roles={"mover": ("floor:move",)},
)

postings = Table(
    "floor_postings",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
)
cases = Table("floor_cases", metadata, Column("id", Text, primary_key=True), Column("state", Text, nullable=False))
moves = Table(
    "floor_moves",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seller", Text, nullable=False),
    Column("buyer", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)
notes = Table("floor_notes", metadata, Column("id", Text, primary_key=True), Column("text", Text, nullable=False))


class Moved(Answer):
    """The move that was made."""

    id: str


class Move(Request[Moved]):
    """Move an amount between two parties."""

    seller: str
    buyer: str
    amount: int


@Move.command(
    "floor.move", http="POST /moves", scope="floor:move", title=("Move", "转移"), relation=own_party("seller")
)
def move(ctx: Context, request: Move) -> Moved:
    move_id = ctx.new_id("mov")
    uow = ctx.uow
    uow.insert(postings, (ctx.new_id("pst"), request.seller, -request.amount))
    uow.insert(postings, (ctx.new_id("pst"), request.buyer, request.amount))
    uow.insert(cases, (ctx.new_id("cas"), "open"))
    uow.insert(notes, (ctx.new_id("not"), "moved"))
    uow.insert(moves, (move_id, request.seller, request.buyer, request.amount, ctx.now_us))
    return Moved(id=move_id)
