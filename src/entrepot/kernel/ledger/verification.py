"""Checking the ledger against itself: every hash, every balance, every hold, every definition, from the rows alone.

The two streams (batches with their transfers, definitions) are the source; all other tables are recomputed from them.
Their hashes must be those that the chain has sealed or is about to seal; that the chain itself holds is checked with
the events.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple

import orjson
from sqlalchemy import BigInteger, Table, Text

from entrepot.kernel.database import Database, UnitOfWork
from entrepot.kernel.ledger import layout
from entrepot.kernel.ledger.encumbrances import body_of
from entrepot.kernel.ledger.states import INT64_MAX
from entrepot.kernel.ledger.tables import (
    STREAMS,
    ledger_accounts,
    ledger_assets,
    ledger_batches,
    ledger_definitions,
    ledger_encumbrances,
    ledger_holds,
    ledger_transfers,
)
from entrepot.kernel.operations.canonical import canonical

PAGE = 2_000
_ACTIONS = frozenset({"post", "hold", "capture", "release"})
_ACCOUNT_FIELDS = ("owner", "asset", "purpose", "may_go_negative", "frozen", "cap", "opened_at")
_ASSET_FIELDS = ("scale", "kind", "issuer", "details", "defined_at")
Row = dict[str, Any]


class Difference(NamedTuple):
    """Something stored that is not what the rest of the ledger says."""

    table: str
    row: str
    column: str
    stored: str
    computed: str

    def __str__(self) -> str:
        return f"{self.table} {self.row}: {self.column} is {self.stored}, must be {self.computed}"


class _Opening(NamedTuple):
    at: int
    debit: int
    credit: int
    amount: int
    expires_at: int


@dataclass(slots=True)
class _Books:
    """What the streams say, gathered in one pass."""

    posted: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    openings: dict[int, _Opening] = field(default_factory=dict)
    endings: dict[int, list[tuple[str, int, int]]] = field(default_factory=lambda: defaultdict(list))
    definitions: dict[tuple[str, str], tuple[int, Row]] = field(default_factory=dict)
    first_at: dict[tuple[str, str], int] = field(default_factory=dict)
    held: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    expiries: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    pledged: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    differences: list[Difference] = field(default_factory=list)

    def differ(self, table: Table, row: object, column: str, stored: object, computed: object) -> None:
        self.differences.append(Difference(table.name, str(row), column, _text(stored), _text(computed)))

    def expect(self, table: Table, row: object, column: str, stored: object, computed: object) -> None:
        if stored != computed:
            self.differ(table, row, column, stored, computed)


def verify(database: Database, tenant: str, now_us: int = INT64_MAX) -> list[Difference]:
    """Every difference in the ledger of a tenant, in one snapshot; empty when all is well.

    `now_us` is the time by which a hold may have expired.
    """
    with database.reader() as uow:
        return verify_books(uow, tenant, now_us)


def verify_books(uow: UnitOfWork, tenant: str, now_us: int = INT64_MAX) -> list[Difference]:
    """Like `verify`, on a unit of work. One pass over each table; memory grows with accounts and holds."""
    books = _Books()
    _read_definitions(books, uow, tenant)
    _read_batches(books, uow, tenant)
    for stream, table in STREAMS.items():
        _check_seals(books, uow, tenant, stream, table)
    _check_holds(books, uow, tenant, now_us)
    _check_encumbrances(books, uow, tenant)
    _check_assets(books, uow, tenant)
    _check_accounts(books, uow, tenant)
    return books.differences


# --- the streams -------------------------------------------------------------------------------------------------


def _read_definitions(books: _Books, uow: UnitOfWork, tenant: str) -> None:
    versions: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in _rows(books, uow, ledger_definitions, tenant):
        name = row["id"]
        fields = [row[column.name] for column in ledger_definitions.columns][:-1]
        _expect_hash(books, ledger_definitions, name, row["hash"], partial(layout.definition_hash, fields))
        books.expect(ledger_definitions, name, "id", name, f"{row['kind']}:{row['subject']}:{row['version']}")
        subject = (row["kind"], row["subject"])
        versions[subject].append(row["version"])
        latest = books.definitions.get(subject)
        if latest is None or row["version"] > latest[0]:
            try:
                body = orjson.loads(row["body"])
            except orjson.JSONDecodeError:
                continue  # its hash differs and was reported
            books.definitions[subject] = (row["version"], body if isinstance(body, dict) else {})
    for (kind, name), found in versions.items():
        if sorted(found) != list(range(1, len(found) + 1)):
            books.differ(ledger_definitions, f"{kind}:{name}", "version", sorted(found), "1, 2, 3 ... without a gap")


def _read_batches(books: _Books, uow: UnitOfWork, tenant: str) -> None:
    last = ""
    while True:
        sql = _select(ledger_batches, "id > %s", "id LIMIT %s")
        batches = [_row(books, ledger_batches, row) for row in uow.read(sql, (tenant, last, PAGE))]
        upper = batches[-1]["id"] if len(batches) == PAGE else None
        transfers: dict[str, list[Row]] = {batch["id"]: [] for batch in batches}
        for row in _transfers(books, uow, tenant, last, upper):
            if row["batch"] in transfers:
                transfers[row["batch"]].append(row)
            else:
                books.differ(ledger_transfers, _place(row), "batch", row["batch"], "a batch that exists")
            _gather(books, row)
        for batch in batches:
            _check_batch(books, batch, transfers[batch["id"]])
        if upper is None:
            return
        last = upper


def _check_seals(books: _Books, uow: UnitOfWork, tenant: str, stream: str, table: Table) -> None:
    """Every row of a stream is sealed, or waits for it, with the hash that it has; and no sealed row is missing."""
    joins = " ".join(
        f"LEFT JOIN {other} {name} ON {name}.tenant = t.tenant AND {name}.stream = '{stream}' AND {name}.row_id = t.id"
        for other, name in (("seals", "s"), ("unsealed", "u"))
    )
    sql = (
        f"SELECT t.id, t.hash, s.hash, u.hash FROM {table.name} t {joins} WHERE t.tenant = %s AND t.id > %s"
        " ORDER BY t.id LIMIT %s"
    )
    last = ""
    while True:
        rows = uow.read(sql, (tenant, last, PAGE))
        for name, stored, sealed, waiting in rows:
            expected = sealed if sealed is not None else waiting
            if expected is None:
                books.differ(table, name, "hash", stored, "sealed, or waiting to be sealed")
            elif stored != expected:
                books.differ(table, name, "hash", stored, expected)
        if len(rows) < PAGE:
            break
        last = rows[-1][0]
    for other in ("seals", "unsealed"):
        sql = (
            f"SELECT o.row_id FROM {other} o LEFT JOIN {table.name} t ON t.tenant = o.tenant AND t.id = o.row_id"
            " WHERE o.tenant = %s AND o.stream = %s AND t.id IS NULL"
        )
        for (name,) in uow.read(sql, (tenant, stream)):
            books.differ(table, name, "id", "missing", f"a row, since {other} names it")


def _transfers(books: _Books, uow: UnitOfWork, tenant: str, after: str, upto: str | None) -> Iterator[Row]:
    condition, parameters = ("batch > %s", (tenant, after)) if upto is None else (
        "batch > %s AND batch <= %s", (tenant, after, upto))  # fmt: skip
    sql = _select(ledger_transfers, condition, "batch, number")
    for row in uow.read(sql, parameters):
        yield _row(books, ledger_transfers, row)


def _check_batch(books: _Books, batch: Row, transfers: Sequence[Row]) -> None:
    name = batch["id"]
    rows = [
        [row[column] for column in ("number", "debit", "credit", "amount", "action", "group_number", "hold",
                                    "expires_at", "reference")]
        for row in transfers
    ]  # fmt: skip
    header = [batch[column.name] for column in ledger_batches.columns][:-1]
    _expect_hash(books, ledger_batches, name, batch["hash"], lambda: layout.batch_hash(header, rows))
    books.expect(ledger_batches, name, "count", batch["count"], len(transfers))
    for row in transfers:
        books.expect(ledger_transfers, _place(row), "at", row["at"], batch["at"])


def _gather(books: _Books, row: Row) -> None:
    """Take a transfer into the balances and holds."""
    action, amount, hold = row["action"], row["amount"], row["hold"]
    if action not in _ACTIONS or not isinstance(amount, int):
        books.differ(ledger_transfers, _place(row), "action", f"{action} of {amount}", "a known action")
        return
    if action in ("post", "capture"):
        books.posted[row["debit"]] -= amount
        books.posted[row["credit"]] += amount
    if action == "hold":
        if hold in books.openings:
            books.differ(ledger_transfers, _place(row), "hold", hold, "opened once")
        books.openings[hold] = _Opening(row["at"], row["debit"], row["credit"], amount, row["expires_at"])
    elif hold:
        books.endings[hold].append((action, row["at"], amount))


# --- what follows from them ----------------------------------------------------------------------------------------


def _check_holds(books: _Books, uow: UnitOfWork, tenant: str, now_us: int) -> None:
    found: set[int] = set()
    for row in _rows(books, uow, ledger_holds, tenant):
        name, opening = row["id"], books.openings.get(row["id"])
        found.add(name)
        if opening is None:
            books.differ(ledger_holds, name, "id", name, "a hold that a transfer opened")
            continue
        for column, value in (
            ("debit", opening.debit), ("credit", opening.credit), ("amount", opening.amount),
            ("expires_at", opening.expires_at), ("opened_at", opening.at),
        ):  # fmt: skip
            books.expect(ledger_holds, name, column, row[column], value)
        status, captured, closed_at = _end_of_hold(books, row, opening, now_us)
        for column, result in (("status", status), ("captured", captured), ("closed_at", closed_at)):
            books.expect(ledger_holds, name, column, row[column], result)
        if row["status"] == "open":
            books.held[opening.debit] += opening.amount
            if opening.expires_at:
                books.expiries[opening.debit].append(opening.expires_at)
    for hold in (books.openings.keys() | books.endings.keys()) - found:
        books.differ(ledger_holds, hold, "id", "missing", "a row, since transfers name it")


def _end_of_hold(books: _Books, row: Row, opening: _Opening, now_us: int) -> tuple[str, int, int]:
    """Status, captured amount and closing time of a hold, from the transfers that ended it."""
    endings = sorted(books.endings.get(row["id"], ()), key=lambda ending: ending[0])  # capture, post, release
    kinds = [ending[0] for ending in endings]
    if not kinds:
        expired = 0 < opening.expires_at <= now_us and row["status"] == "expired"  # noticed, or not yet: both are right
        return ("expired", 0, opening.expires_at) if expired else ("open", 0, 0)
    if kinds not in (["capture"], ["release"], ["capture", "post"]):
        books.differ(ledger_transfers, row["id"], "hold", " and ".join(kinds), "ended once")
    action, at, amount = endings[0]
    if 0 < opening.expires_at <= at:
        books.differ(ledger_transfers, row["id"], "at", at, f"before the hold's expiry {opening.expires_at}")
    if amount > opening.amount:
        books.differ(ledger_transfers, row["id"], "amount", amount, f"at most {opening.amount}")
    if action == "release":
        return "released", 0, at
    return ("returned" if "post" in kinds else "captured"), amount, at


def _check_encumbrances(books: _Books, uow: UnitOfWork, tenant: str) -> None:
    seen: set[str] = set()
    for row in _rows(books, uow, ledger_encumbrances, tenant):
        seen.add(row["id"])
        _expect_definition(books, ledger_encumbrances, "encumbrance", row["id"], row["version"], body_of(row))
        if row["kind"] == "pledge" and not row["closed_at"]:
            books.pledged[row["account"]] += row["amount"]
    _expect_all(books, ledger_encumbrances, "encumbrance", seen)


def _check_assets(books: _Books, uow: UnitOfWork, tenant: str) -> None:
    seen: set[str] = set()
    for row in _rows(books, uow, ledger_assets, tenant):
        seen.add(row["code"])
        body = {name: row[name] for name in _ASSET_FIELDS}
        try:
            body["details"] = orjson.loads(row["details"])
            books.expect(ledger_assets, row["code"], "details", row["details"], canonical(body["details"]))
        except (orjson.JSONDecodeError, TypeError):
            pass  # then it differs from the definition
        _expect_definition(books, ledger_assets, "asset", row["code"], 1, body)
    _expect_all(books, ledger_assets, "asset", seen)


def _check_accounts(books: _Books, uow: UnitOfWork, tenant: str) -> None:
    seen: set[str] = set()
    sums: dict[str, int] = defaultdict(int)
    for row in _rows(books, uow, ledger_accounts, tenant):
        number = row["id"]
        seen.add(str(number))
        body = {name: row[name] for name in _ACCOUNT_FIELDS}
        for flag in ("may_go_negative", "frozen"):
            body[flag] = bool(row[flag]) if row[flag] in (0, 1) else row[flag]
        _expect_definition(books, ledger_accounts, "account", str(number), row["version"], body)
        _, defined = books.definitions.get(("account", str(number)), (0, body))
        identity = layout.account_id(tenant, *(str(defined.get(part)) for part in ("owner", "asset", "purpose")))
        books.expect(ledger_accounts, number, "id", number, identity)
        books.expect(ledger_accounts, number, "posted", row["posted"], books.posted.get(number, 0))
        books.expect(ledger_accounts, number, "held", row["held"], books.held.get(number, 0))
        books.expect(ledger_accounts, number, "next_expiry", row["next_expiry"],
                     min(books.expiries.get(number, ()), default=0))  # fmt: skip
        sums[str(defined.get("asset"))] += books.posted.get(number, 0)
        if not defined.get("may_go_negative") and books.posted.get(number, 0) < books.held.get(number, 0):
            books.differ(ledger_accounts, number, "posted", row["posted"], "no less than what is held")
        if number in books.pledged and books.posted.get(number, 0) < books.pledged[number]:
            books.differ(ledger_accounts, number, "posted", row["posted"],
                         f"at least {books.pledged[number]}, which is pledged")  # fmt: skip
    _expect_all(books, ledger_accounts, "account", seen)
    for asset, total in sums.items():
        if total:
            books.differ(ledger_assets, asset, "sum of all accounts", total, 0)
    for account in books.posted.keys() - {int(number) for number in seen}:
        books.differ(ledger_accounts, account, "id", "missing", "a row, since transfers name it")


# --- helpers -------------------------------------------------------------------------------------------------------


def _expect_definition(books: _Books, table: Table, kind: str, name: str, version: int, body: Row) -> None:
    latest = books.definitions.get((kind, name))
    if latest is None:
        books.differ(table, name, "id", name, "a row that was defined")
        return
    books.expect(table, name, "version", version, latest[0])
    for column, value in latest[1].items():
        books.expect(table, name, column, body.get(column), value)


def _expect_all(books: _Books, table: Table, kind: str, seen: set[str]) -> None:
    for found, name in books.definitions:
        if found == kind and name not in seen:
            books.differ(table, name, "id", "missing", "a row, since it was defined")


def _expect_hash(books: _Books, table: Table, name: str, stored: Any, compute: Callable[[], bytes]) -> None:
    try:
        computed = compute()
    except (TypeError, ValueError) as error:  # something that is no JSON was written into the row
        books.differ(table, name, "hash", stored, f"nothing that can be hashed: {error}")
        return
    if not isinstance(stored, bytes | memoryview) or bytes(stored) != computed:
        books.differ(table, name, "hash", stored, computed)


def _rows(books: _Books, uow: UnitOfWork, table: Table, tenant: str) -> Iterator[Row]:
    """Every row of a tenant, a page at a time."""
    key = next(column.name for column in table.primary_key.columns if column.name != "tenant")
    last: Any = None
    while True:
        condition = f"{key} > %s" if last is not None else "1 = 1"
        sql = _select(table, condition, f"{key} LIMIT %s")
        page = uow.read(sql, (tenant, PAGE) if last is None else (tenant, last, PAGE))
        for row in page:
            yield _row(books, table, row)
        if len(page) < PAGE:
            return
        last = page[-1][1]  # the columns begin with the tenant and this key


def _select(table: Table, condition: str, order: str) -> str:
    columns = ", ".join(column.name for column in table.columns)
    return f"SELECT {columns} FROM {table.name} WHERE tenant = %s AND {condition} ORDER BY {order}"


def _row(books: _Books, table: Table, values: Sequence[Any]) -> Row:
    """The row by column name. SQLite stores text in a column of integers if told to: that is reported here."""
    row: Row = {}
    for (name, kind, empty), value in zip(_columns(table), values, strict=True):
        if type(value) is not kind and kind is not None and not (value is None and empty is None):
            books.differ(table, values[1], name, repr(value), f"of type {kind.__name__}")
            value = kind()
        row[name] = value
    return row


@cache
def _columns(table: Table) -> tuple[tuple[str, type | None, object], ...]:
    """Name, type and the value that stands for nothing, of each column; no type where any is checked elsewhere."""
    kinds: tuple[tuple[type, type], ...] = ((BigInteger, int), (Text, str))
    return tuple(
        (
            column.name,
            next((kind for known, kind in kinds if isinstance(column.type, known)), None),
            None if column.nullable else 0,
        )
        for column in table.columns
    )


def _place(transfer: Row) -> str:
    return f"{transfer['batch']}/{transfer['number']}"


def _text(value: object) -> str:
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value)
