"""Reading the ledger: definitions, balances as of a time, statements."""

from collections.abc import Sequence
from typing import Any

import orjson

from entrepot.kernel.database import UnitOfWork
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.ledger.rules import held_at
from entrepot.kernel.ledger.states import OK, Code, Hold, Result
from entrepot.kernel.ledger.tables import ledger_holds
from entrepot.kernel.ledger.values import Asset, Line, Statement
from entrepot.kernel.operations.errors import Invalid

STATEMENT_LIMIT = 10_000
_HOLD_COLUMNS = ", ".join(column.name for column in ledger_holds.columns if column.name != "tenant")
_MOVED = "action IN ('post', 'capture')"

_TEXTS = {
    Code.GROUP_SPLIT: "the transfers of a group must be adjacent",
    Code.AMOUNT_NOT_POSITIVE: "the amount must be positive",
    Code.AMOUNT_OVERFLOW: "the amount exceeds 64 bits",
    Code.SAME_ACCOUNT: "debit and credit are the same account",
    Code.ASSETS_DIFFER: "debit and credit account hold different assets",
    Code.EXPIRY_NOT_ALLOWED: "only a hold may expire",
    Code.EXPIRY_PAST: "the expiry is not in the future",
    Code.HOLD_OPEN: "the hold is still open: only a captured one can be returned",
    Code.ACCOUNTS_DIFFER: "the accounts are not those of the hold",
    Code.EXCEEDS_HOLD: "the amount is not that of the hold",
    Code.FROZEN: "the account is frozen: nothing may leave it",
    Code.INSUFFICIENT: "not enough is available",
    Code.OVER_CAP: "the account would hold more than its cap",
    Code.BALANCE_OVERFLOW: "a balance would exceed 64 bits",
}


def describe(code: Code) -> str:
    """A result code in words."""
    return _TEXTS.get(code, str(code).replace("-", " "))


def find_asset(uow: UnitOfWork, tenant: str, code: str) -> Asset | None:
    """The definition of an asset; definitions never change, so the process keeps those that are committed."""
    known: dict[str, Asset] = uow.database.caches.setdefault(f"ledger.assets:{tenant}", {})
    asset = known.get(code)
    if asset is None:
        rows = uow.read(
            "SELECT code, scale, kind, issuer, details FROM ledger_assets WHERE tenant = %s AND code = %s",
            (tenant, code),
        )
        if rows:
            asset = known[code] = _asset(rows[0])
    return asset


def all_assets(uow: UnitOfWork, tenant: str) -> list[Asset]:
    """Every asset, by code."""
    sql = "SELECT code, scale, kind, issuer, details FROM ledger_assets WHERE tenant = %s ORDER BY code"
    return [_asset(row) for row in uow.fetch(sql, (tenant,))]


def asset_body(asset: Asset, defined_at: int) -> dict[str, Any]:
    """What the definition stream says about an asset."""
    return {
        "scale": asset.scale,
        "kind": asset.kind,
        "issuer": asset.issuer,
        "details": asset.details,
        "defined_at": defined_at,
    }


def account_ids(uow: UnitOfWork, tenant: str, owner: str, asset: str, after: int, limit: int) -> list[int]:
    """Ids of accounts, in order, after one of them; an empty owner or asset is any."""
    sql, parameters = "SELECT id FROM ledger_accounts WHERE tenant = %s AND id > %s", [tenant, after]
    for column, value in (("owner", owner), ("asset", asset)):
        if value:
            sql += f" AND {column} = %s"
            parameters.append(value)
    return [row[0] for row in uow.read(f"{sql} ORDER BY id LIMIT %s", [*parameters, limit])]


def find_results(uow: UnitOfWork, tenant: str, key: str, count: int) -> tuple[str, list[Result]] | None:
    """The hash and the results of the batch that was sent with this key; None if there is none.

    On PostgreSQL the key is locked until the commit, so that two processes with the same key go one after the other.
    """
    if uow.dialect == "postgresql":
        uow.read("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"ledger|{tenant}|{key}",))
    sql = "SELECT id, request, failures FROM ledger_batches WHERE tenant = %s AND key = %s AND key <> ''"
    rows = uow.read(sql, (tenant, key))
    if not rows:
        return None
    batch, request, failures = rows[0]
    results = [OK] * count
    for number, code in orjson.loads(failures):
        if number < count:
            results[number] = Result(Code(code))
    sql = "SELECT number, hold FROM ledger_transfers WHERE tenant = %s AND batch = %s AND hold <> 0"
    for number, hold in uow.read(sql, (tenant, batch)):
        if number < count:
            results[number] = Result(Code.OK, hold)
    return request, results


def balance_at(uow: UnitOfWork, tenant: str, account: int, at_us: int) -> tuple[int, int]:
    """Posted and held amount of an account at the end of an instant."""
    posted = _moved(uow, tenant, account, "at <= %s", (at_us,))
    sql = (
        f"SELECT {_HOLD_COLUMNS} FROM ledger_holds WHERE debit = %s AND opened_at <= %s"
        " AND (closed_at = 0 OR closed_at > %s) AND tenant = %s"
    )
    holds = [Hold(*row) for row in uow.read(sql, (account, at_us, at_us, tenant))]
    return posted, held_at(holds, at_us)


def statement(uow: UnitOfWork, tenant: str, account: int, span: tuple[int, int], after: str, limit: int) -> Statement:
    """A page of the movements of an account; see `Ledger.statement`. `span` is from (included) to (not included)."""
    if not 1 <= limit <= STATEMENT_LIMIT:
        raise Invalid("ledger/limit", f"A statement page has 1 to {STATEMENT_LIMIT} lines, not {limit}.")
    since, until = span
    if after:
        condition, start = "(at, batch, number) <= (%s, %s, %s)", _position(after)
        opening = _moved(uow, tenant, account, condition, start)
        begins = "(at, batch, number) > (%s, %s, %s)"
    else:
        opening = _moved(uow, tenant, account, "at < %s", (since,))
        begins, start = "at >= %s", (since,)
    sides = " UNION ALL ".join(
        "SELECT * FROM (SELECT at, batch, number, debit, credit, amount, action, reference, hold FROM ledger_transfers"
        f" WHERE {side} = %s AND tenant = %s AND {_MOVED} AND {begins} AND at < %s"
        f" ORDER BY at, batch, number LIMIT %s) AS {side}s"
        for side in ("debit", "credit")
    )
    parameters = (account, tenant, *start, until, limit + 1)
    rows = uow.read(f"SELECT * FROM ({sides}) AS lines ORDER BY at, batch, number LIMIT %s",
                    (*parameters, *parameters, limit + 1))  # fmt: skip
    lines: list[Line] = []
    balance = opening
    for at, batch, number, debit, credit, amount, action, reference, hold in rows[:limit]:
        change, counter = (-amount, credit) if debit == account else (amount, debit)
        balance += change
        position = f"{at}:{batch}:{number}"
        lines.append(Line(position, from_us(at), change, balance, counter, action, reference, batch, hold))
    return Statement(account, opening, balance, lines, lines[-1].position if len(rows) > limit else "")


def _moved(uow: UnitOfWork, tenant: str, account: int, condition: str, parameters: Sequence[Any]) -> int:
    """Credits minus debits of an account. Summed in two halves: a turnover may exceed 64 bits where no balance does."""
    total = 0
    for side, sign in (("credit", 1), ("debit", -1)):
        sql = (
            "SELECT SUM(amount >> 32), SUM(amount & 4294967295) FROM ledger_transfers"
            f" WHERE {side} = %s AND tenant = %s AND {_MOVED} AND {condition}"
        )
        high, low = uow.read(sql, (account, tenant, *parameters))[0]
        total += sign * ((int(high or 0) << 32) + int(low or 0))
    return total


def _position(after: str) -> tuple[Any, ...]:
    at, _, rest = after.partition(":")
    batch, _, number = rest.rpartition(":")
    if not (at.isdecimal() and batch and number.isdecimal() and len(at) < 19 and len(number) < 19):
        raise Invalid("ledger/position", f"{after[:80]!r} is not a position that a statement gave.")
    return int(at), batch, int(number)


def _asset(row: Sequence[Any]) -> Asset:
    code, scale, kind, issuer, details = row
    return Asset(code, scale, kind, issuer, orjson.loads(details))
