"""Claims of creditors on owned quantities, with rank.

A pledge inside the tenant moves the quantity to the owner's account `pledged:<creditor>`: it is visible, it can change
hands with the claim, and it cannot be pledged twice, for the same reason that money cannot be spent twice. Claims from
outside (prior registration, floating charge, purchase money, lien, court seizure) move nothing: they are recorded with
the rank they have, so that a lender sees them before lending.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from entrepot.kernel.database.schema import from_us, to_us
from entrepot.kernel.ledger import claims
from entrepot.kernel.ledger.states import INT64_MAX
from entrepot.kernel.ledger.tables import ledger_encumbrances
from entrepot.kernel.ledger.values import Encumbrance
from entrepot.kernel.operations.errors import Conflict, Invalid, NotFound

if TYPE_CHECKING:
    from entrepot.kernel.ledger.service import Ledger

COLUMNS = [column.name for column in ledger_encumbrances.columns]
_AMOUNT = COLUMNS.index("amount")
_UNCHANGING = (
    "account",
    "origin",
    "owner",
    "asset",
    "creditor",
    "kind",
    "rank",
    "published_at",
    "reference",
    "opened_at",
)


def pledged_purpose(creditor: str) -> str:
    """The purpose of an owner's account that holds what is pledged to this creditor."""
    return f"pledged:{creditor}"


def encumber(
    ledger: "Ledger", account: int, creditor: str, amount: int, kind: str, rank: int | None,
    published: datetime | None, reference: str,
) -> Encumbrance:  # fmt: skip
    """Give `creditor` a claim of `amount` (minor units) on the owner of `account`.

    `kind` "pledge" moves the amount to the owner's `pledged:<creditor>` account, public from now unless `published`
    says when; any other kind of `claims.RANKS` records a claim from outside. `rank` overrides the default of the kind
    (smaller is paid first). Raises Invalid, NotFound, and Conflict where the quantity is not available.
    """
    if kind not in claims.RANKS:
        raise Invalid("ledger/claim-kind", f"A claim is one of {', '.join(claims.RANKS)}, not {kind!r}.")
    if not 0 < amount <= INT64_MAX:
        raise Invalid("ledger/amount-not-positive", f"A claim has a positive amount, not {amount}.")
    scope = ledger.scope
    record = ledger.account_record(account)
    origin = account
    published_at = to_us(published) if published is not None else 0
    if kind == claims.PLEDGE:
        if record.owner == creditor:
            raise Invalid("ledger/own-creditor", f"{creditor} cannot be pledgee of its own goods.")
        account = ledger.account(record.owner, record.asset, pledged_purpose(creditor))
        ledger.transfer(origin, account, amount, reference=reference)
        published_at = published_at or scope.now_us
    identifier = scope.new_id("enc")
    row = {
        "tenant": ledger.tenant, "id": identifier, "account": account, "origin": origin, "owner": record.owner,
        "asset": record.asset, "creditor": creditor, "kind": kind,
        "rank": claims.RANKS[kind] if rank is None else rank, "amount": amount, "published_at": published_at,
        "reference": reference, "opened_at": scope.now_us, "closed_at": 0, "version": 1,
    }  # fmt: skip
    _write(ledger, row)
    return _encumbrance(row)


def release(ledger: "Ledger", identifier: str, amount: int | None, to: int | None) -> Encumbrance:
    """Reduce a claim by `amount` (default: all of it); at zero it is closed.

    A pledged quantity goes back to the account it came from, or to account `to` (a buyer, on disposal).
    Raises NotFound, Conflict (closed already, or less than that), Invalid.
    """
    stored = ledger.scope.uow.lock(ledger_encumbrances, (ledger.tenant, identifier))
    if stored is None:
        raise NotFound("ledger/no-encumbrance", f"There is no encumbrance {identifier}.", encumbrance=identifier)
    row = dict(zip(COLUMNS, stored, strict=True))
    part = row["amount"] if amount is None else amount
    if row["closed_at"]:
        raise Conflict("ledger/encumbrance-closed", f"The encumbrance {identifier} has ended already.")
    if not 0 < part <= row["amount"]:
        raise Conflict("ledger/exceeds-encumbrance", f"The claim is {row['amount']}; {part} of it cannot be released.")
    if row["kind"] == claims.PLEDGE:
        ledger.transfer(row["account"], row["origin"] if to is None else to, part, reference=row["reference"])
    elif to is not None:
        raise Invalid("ledger/nothing-moved", f"A {row['kind']} holds no quantity that could go to an account.")
    row["version"] += 1
    if part == row["amount"]:
        row["closed_at"] = ledger.scope.now_us  # the amount stays as a record of what the claim came to
    else:
        row["amount"] -= part
    _write(ledger, row)
    return _encumbrance(row)


def get(ledger: "Ledger", identifier: str) -> Encumbrance:
    """One claim, standing or ended. Raises NotFound."""
    return _encumbrance(dict(zip(COLUMNS, _stored(ledger, (identifier,))[0], strict=True)))


def claimed(ledger: "Ledger", identifiers: Sequence[str]) -> int:
    """What several claims come to together. Raises NotFound."""
    return sum(row[_AMOUNT] for row in _stored(ledger, identifiers))


def _stored(ledger: "Ledger", identifiers: Sequence[str]) -> list[tuple[Any, ...]]:
    keys = [(ledger.tenant, identifier) for identifier in identifiers]
    stored = ledger.scope.uow.rows(ledger_encumbrances, keys)
    for key in keys:
        if key not in stored:
            raise NotFound("ledger/no-encumbrance", f"There is no encumbrance {key[1]}.", encumbrance=key[1])
    return [stored[key] for key in keys]


def find(
    ledger: "Ledger", account: int | None, owner: str, asset: str, creditor: str, closed: bool
) -> list[Encumbrance]:
    """The claims that match, first paid first; `closed` includes those that have ended."""
    sql, parameters = f"SELECT {', '.join(COLUMNS)} FROM ledger_encumbrances WHERE tenant = %s", [ledger.tenant]
    filters: tuple[tuple[str, Any], ...] = (("owner", owner), ("asset", asset), ("creditor", creditor))
    for column, value in filters:
        if value:
            sql += f" AND {column} = %s"
            parameters.append(value)
    if account is not None:
        sql += " AND (account = %s OR origin = %s)"
        parameters += [account, account]  # type: ignore[list-item]
    if not closed:
        sql += " AND closed_at = 0"
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in ledger.scope.uow.fetch(sql, parameters)]
    rows.sort(key=lambda row: (row["rank"], row["published_at"] == 0, row["published_at"], row["id"]))
    return [_encumbrance(row) for row in rows]


def body_of(row: dict[str, Any]) -> dict[str, Any]:
    """What the definition stream says about an encumbrance."""
    return {name: row[name] for name in (*_UNCHANGING, "amount", "closed_at")}


def _write(ledger: "Ledger", row: dict[str, Any]) -> None:
    scope = ledger.scope
    scope.uow.upsert(ledger_encumbrances, tuple(row[name] for name in COLUMNS))
    ledger.books.append_definition("encumbrance", row["id"], row["version"], scope.now_us, scope.actor_id, body_of(row))


def _encumbrance(row: dict[str, Any]) -> Encumbrance:
    return Encumbrance(
        row["id"], row["account"], row["origin"], row["owner"], row["asset"], row["creditor"], row["kind"], row["rank"],
        row["amount"], from_us(row["published_at"]) if row["published_at"] else None, row["reference"],
        from_us(row["opened_at"]), from_us(row["closed_at"]) if row["closed_at"] else None,
    )  # fmt: skip
