"""A system of tests only, with a table of its own: commands that succeed, are refused or fail in every way."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import BigInteger, Column, MetaData, Table, Text

from entrepot.kernel.database import Database
from entrepot.kernel.operations import (
    Actor,
    Answer,
    Conflict,
    Context,
    Executor,
    Invalid,
    ManualClock,
    NotFound,
    Outcome,
    Personal,
    Registry,
    Request,
    Runtime,
    Secret,
    System,
    own_party,
    owner_of,
    requester_of,
)  # fmt: skip

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
TENANT = "lanzhou"
SCOPES = frozenset({"shelf:act", "shelf:read"})
Mode = Literal["row", "fetch", "session", "refuse", "refuse-late", "crash", "clash", "gone"]

goods = Table(
    "shelf_goods",
    MetaData(),  # not the kernel's: migrations know nothing of it
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("weight", BigInteger, nullable=False),
)
memory: dict[str, int] = {}
turnstile = threading.Event()
turnstile.set()
entered = threading.Event()  # a `Wait` holds the writer


class Seen(Answer):
    """What a command did and saw."""

    id: str
    weight: int = 0
    count: int = 0


class Put(Request[Seen]):
    """Put goods on the shelf in one of several ways."""

    name: str
    weight: int = 1
    mode: Mode = "row"


class Add(Request[Seen]):
    """Add to the weight of goods."""

    name: str
    weight: int = 1


class Wait(Request[Seen]):
    """Hold the writer until the turnstile opens."""


class Someone(BaseModel):
    name: Personal[str]


class Tell(Request[Seen]):
    """Something with personal and secret fields."""

    subject: str
    note: Personal[str] = ""
    password: Secret[str] = ""
    nickname: Personal[str] | None = None
    people: list[Someone] = []


class Told(Answer):
    id: str
    token: Secret[str] = ""


class Issue(Request[Told]):
    """Answers with a secret."""

    name: str


class Hashed(Request[Seen]):
    """Prepared before its transaction."""

    name: str


class Own(Request[Seen]):
    """For the owner alone."""

    name: str


class Approve(Request[Seen]):
    """For anyone but the requester."""

    name: str


class ForParty(Request[Seen]):
    """For the party itself."""

    party: str


class Count(Request[Seen]):
    """How many goods there are."""


class Sly(Request[Seen]):
    """A query that tries to write."""

    mode: Literal["insert", "session", "sql", "call"]


@Put.command("shelf.put", http="POST /goods", scope="shelf:act", title=("Put", "放"), subject="id")
def put(ctx: Context, request: Put) -> Seen:
    memory_before = memory.get(request.name, 0)
    ctx.uow.set(memory, request.name, memory_before + request.weight)
    row = (ctx.tenant, request.name, request.weight)
    if request.mode == "refuse":
        raise Conflict("shelf/full", "There is no room.")
    ctx.uow.insert(goods, row)
    count = 0
    if request.mode == "fetch":
        count = ctx.uow.fetch("SELECT COUNT(*) FROM shelf_goods WHERE tenant = %s", (ctx.tenant,))[0][0]
    elif request.mode == "session":
        count = len(ctx.session.execute(goods.select()).all())
    elif request.mode == "refuse-late":
        ctx.uow.fetch("SELECT COUNT(*) FROM shelf_goods")
        raise Invalid("shelf/weight", "It is too heavy.")
    elif request.mode == "crash":
        raise ZeroDivisionError("on purpose")
    elif request.mode == "clash":
        ctx.uow.execute("INSERT INTO shelf_goods VALUES (%s, %s, %s)", row)
    elif request.mode == "gone":
        raise NotFound("shelf/gone", "It is gone.")
    ctx.emit("shelf.placed", {"weight": request.weight}, request.name)
    return Seen(id=request.name, weight=request.weight, count=count)


@Add.command("shelf.add", http="POST /additions", scope="shelf:act", title=("Add", "加"))
def add(ctx: Context, request: Add) -> Seen:
    row = ctx.uow.lock(goods, (ctx.tenant, request.name))
    weight = (row[2] if row else 0) + request.weight
    ctx.uow.upsert(goods, (ctx.tenant, request.name, weight))
    return Seen(id=ctx.new_id("add"), weight=weight)


@Wait.command("shelf.wait", http="POST /waits", scope="shelf:act", title=("Wait", "等"))
def wait(ctx: Context, request: Wait) -> Seen:
    entered.set()
    assert turnstile.wait(20)
    return Seen(id="waited")


@Tell.command("shelf.tell", http="POST /tales", scope="shelf:act", title=("Tell", "说"), subject="subject")
def tell(ctx: Context, request: Tell) -> Seen:
    if request.subject == "refused":
        raise Conflict("shelf/full", "There is no room.")
    return Seen(id=ctx.new_id("tal"))


@Issue.command("shelf.issue", http="POST /tokens", scope="shelf:act", title=("Issue", "发"))
def issue(ctx: Context, request: Issue) -> Told:
    return Told(id=ctx.new_id("tok"), token="hush-" + request.name)


def _prepare(uow: Any, tenant: str, request: Hashed) -> str:
    if request.name == "refused":
        raise Invalid("shelf/weak", "This password is too weak.")
    if request.name == "crash":
        raise ZeroDivisionError("on purpose")
    assert uow.read_only
    return f"{tenant}:{request.name}"


@Hashed.command(
    "shelf.hashed", http="POST /hashes", scope="shelf:act", title=("Hash", "散列"), prepare=_prepare, subject="name"
)
def hashed(ctx: Context, request: Hashed) -> Seen:
    return Seen(id=ctx.prepared)


@Own.command("shelf.own", http="POST /own", scope="shelf:act", title=("Own", "自"), relation=owner_of("name"))
def own(ctx: Context, request: Own) -> Seen:
    return Seen(id=request.name)


@Approve.command(
    "shelf.approve", http="POST /approve", scope="shelf:act", title=("Approve", "批"), not_by=requester_of("name"),
    subject="name",
)  # fmt: skip
def approve(ctx: Context, request: Approve) -> Seen:
    return Seen(id=request.name)


@ForParty.command("shelf.for", http="POST /for", scope="", title=("For", "为"), relation=own_party("party"))
def for_party(ctx: Context, request: ForParty) -> Seen:
    return Seen(id=request.party)


@Count.query("shelf.count", http="GET /goods", scope="shelf:read", title=("Count", "数"))
def count(ctx: Context, request: Count) -> Seen:
    return Seen(id="", count=ctx.uow.fetch("SELECT COUNT(*) FROM shelf_goods WHERE tenant = %s", (ctx.tenant,))[0][0])


@Sly.query("shelf.sly", http="GET /sly", scope="shelf:read", title=("Sly", "狡"))
def sly(ctx: Context, request: Sly) -> Seen:
    if request.mode == "insert":
        ctx.uow.insert(goods, (ctx.tenant, "sly", 1))
    elif request.mode == "session":
        ctx.session.execute(goods.insert(), [{"tenant": ctx.tenant, "id": "sly", "weight": 1}])
    elif request.mode == "sql":
        ctx.uow.execute("INSERT INTO shelf_goods VALUES (%s, 'sly', 1)", (ctx.tenant,))
    else:
        ctx.call(Put(name="sly"))
    return Seen(id="sly")


MANIFEST = System(
    name="shelf",
    title=("Shelf", "架"),
    summary="For tests",
    operations=("tests.kernel.operations.shelf",),
)


class Shop:
    """An executor over the systems of the tests. `run` raises refusals, `outcome` returns them."""

    def __init__(self, database: Database, *, seed: int = 1, systems: tuple[System, ...] = (), **settings: Any) -> None:
        self.database = database
        self.clock = ManualClock(START)
        with database.gate, database.engine.begin() as connection:
            goods.create(connection, checkfirst=True)
        self.runtime = Runtime(database, Registry((MANIFEST, *systems)), self.clock, b"k" * 32)
        self.executor = Executor(self.runtime, seed=seed, **settings)
        memory.clear()

    def actor(self, name: str = "li", scopes: frozenset[str] = SCOPES) -> Actor:
        return Actor(TENANT, name, f"org_{name}", "person", scopes)

    def run(self, request: Request[Any], key: str = "", actor: Actor | None = None) -> Any:
        self.clock.move_to_us(self.clock.now_us() + 1_000)  # so that events sort as they came
        return self.executor.run(request, actor or self.actor(), key)

    def outcome(self, request: Request[Any], key: str = "", actor: Actor | None = None) -> Any:
        self.clock.move_to_us(self.clock.now_us() + 1_000)
        return self.executor.submit(request, actor or self.actor(), key).result(20)

    def together(self, *requests: Request[Any], keys: tuple[str, ...] = ()) -> list[Any]:
        """Outcomes of commands that one group holds: the writer is busy until all of them wait."""
        held = self.hold()
        named = keys or ("",) * len(requests)
        futures = [self.executor.submit(r, self.actor(), k) for r, k in zip(requests, named, strict=True)]
        turnstile.set()
        held.result(20)
        return [future.result(20) for future in futures]

    def hold(self) -> "Future[Outcome]":
        """Hold the writer until the turnstile opens."""
        turnstile.clear()
        entered.clear()
        held = self.executor.submit(Wait(), self.actor(), "")
        assert entered.wait(20)
        return held

    def rows(self, sql: str = "SELECT id, weight FROM shelf_goods ORDER BY id") -> list[tuple[Any, ...]]:
        with self.database.reader() as uow:
            return [tuple(row) for row in uow.read(sql)]

    def events(self) -> list[tuple[str, str, int, str]]:
        found = self.rows("SELECT type, subject, status, data FROM events WHERE type <> 'shelf.wait' ORDER BY id")
        return [(row[0], row[1], row[2], row[3]) for row in found]


@contextmanager
def open_shop(database: Database, **settings: Any) -> Iterator[Shop]:
    shop = Shop(database, **settings)
    with shop.executor:
        yield shop
