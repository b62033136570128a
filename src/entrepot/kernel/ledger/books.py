"""The accounts and holds of one tenant as a unit of work sees them: loaded, changed in memory, settled at the commit.

Commands are judged against states in memory. On SQLite these live as long as the process, since it alone owns the file.
On PostgreSQL they are what the process last knew (a hint), or were read in this group. Nobody is refused, and nothing
is shown, by a hint: then the account is read. Just before the commit all touched accounts are locked in the order of
their ids, then the touched holds, and the group's changes are judged again on the balances found (escrow): if a limit
no longer holds, the group is rolled back and each command runs again alone. So locks are taken in one order and held
for the commit only, and a warm account costs one statement for a whole group of commands.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from entrepot.kernel.database import RetryAlone, UnitOfWork, statements
from entrepot.kernel.ledger import rules
from entrepot.kernel.ledger.layout import definition_hash
from entrepot.kernel.ledger.states import Account, Definition, Hold, HoldStatus, Result
from entrepot.kernel.ledger.tables import DEFINITION_STREAM, ledger_accounts, ledger_definitions, ledger_holds
from entrepot.kernel.ledger.values import Asset
from entrepot.kernel.operations.canonical import canonical

CACHED_ACCOUNTS = 500_000

_ACCOUNT_COLUMNS = ", ".join(column.name for column in ledger_accounts.columns if column.name != "tenant")
_HOLD_COLUMNS = ", ".join(column.name for column in ledger_holds.columns if column.name != "tenant")


class Books:
    """See the module. Every change goes through `uow.set`, so that a refusal or a failed commit takes it back."""

    def __init__(self, uow: UnitOfWork, tenant: str) -> None:
        self.uow = uow
        self.tenant = tenant
        self.locks = uow.dialect == "postgresql"
        kept: dict[int, Account] = {}
        if not uow.read_only:
            kept = uow.database.caches.setdefault(f"ledger.accounts:{tenant}", {})
            if len(kept) > CACHED_ACCOUNTS:
                kept.clear()  # nothing of this unit is in it yet
        self.accounts: dict[int, Account] = {} if self.locks else kept
        self.hints: dict[int, Account] = kept if self.locks else {}
        self.guessed: dict[int, bool] = {}  # accounts of this unit that are still only hints
        self.holds: dict[int, Hold] = {}
        self.assets: dict[str, Asset] = {}  # defined in this unit
        self.answered: dict[str, tuple[str, list[Result]]] = {}  # idempotency key → request hash and results, likewise
        self.wanted: dict[int, tuple[Definition, str]] = {}  # to be opened unless the account exists; with the actor
        self.opened: dict[int, str] = {}  # opened in this unit, by this actor
        self.touched: dict[int, int] = {}  # changed in this unit → the definition's version in the database
        self.prior: dict[int, HoldStatus | None] = {}  # holds changed in this unit → their status in the database

    # --- accounts ------------------------------------------------------------------------------------------------

    def load(self, ids: Collection[int], now_us: int, *, fresh: bool = False) -> None:
        """Bring these accounts into `accounts`, opening the wanted ones, with expired holds released by the clock.

        `fresh`: as the database has them, not as the process last knew them.
        """
        accounts = self.accounts
        missing = [number for number in ids if number not in accounts]
        if missing and self.hints and not fresh:
            for number in missing:
                hint = self.hints.get(number)
                if hint is not None:
                    accounts[number] = hint  # shared with other units, therefore never changed in place
                    self.guessed[number] = True
            missing = [number for number in missing if number not in accounts]
        if missing:
            for number, account in self._read(missing).items():
                accounts[number] = account
            for number in missing:
                if number not in accounts and number in self.wanted:
                    definition, actor = self.wanted[number]
                    self.uow.set(accounts, number, Account(definition))
                    self.uow.set(self.opened, number, actor)
                    self.touch(number)
        if fresh and self.guessed:
            self.refresh(ids)
        due = [number for number in ids if number in accounts and 0 < accounts[number].next_expiry <= now_us]
        if due:
            self._mature(due, now_us)

    def refresh(self, ids: Iterable[int]) -> None:
        """Read those of the accounts that are only hints. Raises RetryAlone when what was done on them is not so."""
        guessed = [number for number in ids if number in self.guessed]
        if not guessed:
            return
        found = self._read(guessed)
        for number in guessed:
            account = found.get(number)
            if account is None:
                self.hints.pop(number, None)
                raise RetryAlone(f"account {number} does not exist")
            if number in self.touched:
                known = self.accounts[number]
                if account.definition.version != self.touched[number]:
                    raise RetryAlone(f"account {number} was redefined")
                if not known.still_holds(account.posted, account.held):
                    raise RetryAlone(f"account {number} no longer allows what it was asked for")
                self.uow.set(self.accounts, number, known.on(account))
            else:
                self.accounts[number] = account
            self.uow.unset(self.guessed, number)

    def _read(self, ids: Collection[int]) -> dict[int, Account]:
        condition, parameters = one_of(self.uow, "id", ids)
        sql = f"SELECT {_ACCOUNT_COLUMNS} FROM ledger_accounts WHERE tenant = %s AND {condition}"
        found = {row[0]: _account(row) for row in self.uow.read(sql, (self.tenant, parameters))}
        if self.locks and not self.uow.read_only:
            self.hints.update(found)
        return found

    def want(self, definition: Definition, actor: str) -> None:
        """Open this account when it is first used or at the commit, unless it exists."""
        self.uow.set(self.wanted, definition.id, (definition, actor))
        self.uow.before_commit(f"ledger:{self.tenant}", self.settle)

    def touch(self, number: int) -> None:
        """Remember to write the account at the commit."""
        if number not in self.touched:
            self.uow.set(self.touched, number, self.accounts[number].definition.version)
            self.uow.before_commit(f"ledger:{self.tenant}", self.settle)

    def change(self, number: int, account: Account) -> None:
        """Replace the state of an account."""
        self.touch(number)
        self.uow.set(self.accounts, number, account)

    def redefine(self, number: int, definition: Definition, at: int, actor: str) -> None:
        """Change what an account is; the new definition is appended to the stream."""
        if number in self.touched:
            self.write_now()  # what was done so far is judged by the definition of before
        account = self.accounts[number].copy()
        account.definition = definition
        self.change(number, account)
        self.append_definition("account", str(number), definition.version, at, actor, account_body(definition))

    def _mature(self, due: Collection[int], now_us: int) -> None:
        condition, parameters = one_of(self.uow, "debit", due)
        sql = (
            f"SELECT {_HOLD_COLUMNS} FROM ledger_holds WHERE {condition} AND status = 'open' AND expires_at > 0"
            " AND expires_at <= %s AND tenant = %s"
        )
        for row in self.uow.read(sql, (parameters, now_us, self.tenant)):
            self.holds.setdefault(row[0], Hold(*row))
        wanted = set(due)
        states = {number: self.accounts[number].copy() for number in due}
        own = [hold for hold in self.holds.values() if hold.debit in wanted]
        for hold in rules.mature(states, own, now_us):
            self.change_hold(hold)
        by_account = self._changed_holds()
        for number, account in states.items():
            account.next_expiry = self._earliest(number, by_account.get(number, ()))
            self.change(number, account)

    # --- holds ---------------------------------------------------------------------------------------------------

    def load_holds(self, ids: Iterable[int]) -> None:
        """Bring these holds into `holds`."""
        missing = [number for number in ids if number not in self.holds]
        if missing:
            condition, parameters = one_of(self.uow, "id", missing)
            sql = f"SELECT {_HOLD_COLUMNS} FROM ledger_holds WHERE tenant = %s AND {condition}"
            for row in self.uow.read(sql, (self.tenant, parameters)):
                self.holds[row[0]] = Hold(*row)

    def change_hold(self, hold: Hold) -> None:
        """Add a hold or replace its state."""
        if hold.id not in self.prior:
            known = self.holds.get(hold.id)
            self.uow.set(self.prior, hold.id, known.status if known else None)
        self.uow.set(self.holds, hold.id, hold)

    def _changed_holds(self) -> dict[int, list[Hold]]:
        changed: dict[int, list[Hold]] = {}
        for number in self.prior:
            hold = self.holds[number]
            changed.setdefault(hold.debit, []).append(hold)
        return changed

    def _earliest(self, account: int, changed: Sequence[Hold]) -> int:
        """The earliest expiry of the account's open holds, stored or changed in this unit; 0: none."""
        closed = {hold.id for hold in changed if hold.status != "open"}
        sql = (
            "SELECT id, expires_at FROM ledger_holds WHERE debit = %s AND status = 'open' AND expires_at > 0"
            " AND tenant = %s ORDER BY expires_at LIMIT %s"
        )
        rows = self.uow.read(sql, (account, self.tenant, len(closed) + 1))
        expiries = [int(expiry) for number, expiry in rows if number not in closed]
        expiries += [hold.expires_us for hold in changed if hold.status == "open" and hold.expires_us]
        return min(expiries, default=0)

    # --- the end of the unit -------------------------------------------------------------------------------------

    def write_now(self) -> None:
        """Write everything before the end of the unit, for a reader of past states within a command."""
        self.uow.fetch("SELECT 1")  # opens the operation's savepoint, so that a refusal takes the rows back
        self.settle()
        self.uow.flush()

    def settle(self) -> None:
        """Stage the rows of all changed accounts and holds; on PostgreSQL lock them and judge the changes again.

        Raises RetryAlone when another process changed something that matters.
        """
        uow = self.uow
        if self.wanted:
            self.load(list(self.wanted), 0)
            for number in list(self.wanted):
                uow.unset(self.wanted, number)
        ids = sorted(self.touched)
        if not ids and not self.prior:
            return
        inserted, stored = self._lock(ids) if self.locks else (set(), {})
        by_account = self._changed_holds()
        settled: dict[int, Account] = {}
        for number in ids:
            settled[number] = account = self._settled(number, stored.get(number), inserted, by_account.get(number, ()))
            uow.set(self.accounts, number, account)
            uow.upsert(ledger_accounts, (self.tenant, *account.definition, account.posted, account.held,
                                         account.next_expiry))  # fmt: skip
            uow.unset(self.touched, number)
            uow.unset(self.guessed, number)
        if self.locks:
            uow.on_commit(lambda: self.hints.update(settled))
        for number, status in sorted(self.prior.items()):
            row = (self.tenant, *self.holds[number])
            (uow.insert if status is None else uow.upsert)(ledger_holds, row)
            uow.unset(self.prior, number)

    def _settled(
        self, number: int, stored: Account | None, inserted: Collection[int], changed: Sequence[Hold]
    ) -> Account:
        """The account as it is to be written: the unit's changes on top of the balance found."""
        account = self.accounts[number]
        definition = account.definition
        ours = number in self.opened
        if stored is None:
            stored = Account(definition, account.posted, account.held, account.next_expiry)
            posted, held = account.posted, account.held
        else:
            if ours and number not in inserted:
                ours, definition = False, stored.definition  # another process opened it first
                if definition != account.definition._replace(opened_at=definition.opened_at):
                    raise RetryAlone(f"account {number} was opened otherwise by another process")
            if stored.definition.version != self.touched[number]:
                raise RetryAlone(f"account {number} was redefined")
            if not account.still_holds(stored.posted, stored.held):
                raise RetryAlone(f"account {number} no longer allows what it was asked for")
            posted = stored.posted + account.posted - account.base_posted
            held = stored.held + account.held - account.base_held
        if ours:
            self.append_definition(
                "account", str(number), 1, definition.opened_at, self.opened[number], account_body(definition)
            )
        self.uow.unset(self.opened, number)
        expiries = [hold.expires_us for hold in changed if hold.status == "open" and hold.expires_us]
        next_expiry = stored.next_expiry
        if any(0 < hold.expires_us <= next_expiry for hold in changed if hold.status != "open"):
            next_expiry = self._earliest(number, changed)
        elif expiries:
            next_expiry = min([*expiries, next_expiry or expiries[0]])
        return Account(definition, posted, held, next_expiry)

    def _lock(self, ids: Sequence[int]) -> tuple[set[int], dict[int, Account]]:
        """Insert the opened accounts, lock all in the order of their ids, then the holds: what was new, what is stored.

        The insertion is in the order of the ids too and comes first, so no two processes can wait for each other.
        """
        uow = self.uow
        inserted: set[int] = set()
        new = [self.accounts[number] for number in ids if number in self.opened]
        if new:
            rows = [(self.tenant, *account.definition, 0, 0, 0) for account in new]
            kinds = ("text", "bigint", "text", "text", "text", "boolean", "boolean") + ("bigint",) * 6
            marks = ", ".join(f"%s::{kind}[]" for kind in kinds)
            sql = (
                f"INSERT INTO ledger_accounts (tenant, {_ACCOUNT_COLUMNS}) SELECT * FROM unnest({marks})"
                " ON CONFLICT DO NOTHING RETURNING id"
            )
            inserted = {row[0] for row in uow.read(sql, statements.arrays(ledger_accounts, rows))}
        sql = (
            f"SELECT {_ACCOUNT_COLUMNS} FROM ledger_accounts WHERE tenant = %s AND id = ANY(%s::bigint[])"
            " ORDER BY id FOR UPDATE"
        )
        stored = {row[0]: _account(row) for row in uow.read(sql, (self.tenant, _literal(ids)))}
        self.hints.update(stored)
        for number in ids:
            if number not in stored:
                self.hints.pop(number, None)
                raise RetryAlone(f"account {number} does not exist")
        known = sorted(number for number, status in self.prior.items() if status is not None)
        if known:
            sql = (
                "SELECT id, status FROM ledger_holds WHERE tenant = %s AND id = ANY(%s::bigint[])"
                " ORDER BY id FOR UPDATE"
            )
            for number, status in uow.read(sql, (self.tenant, _literal(known))):
                if status != self.prior[number]:
                    raise RetryAlone(f"hold {number} was ended by another process")
        return inserted, stored

    # --- definitions ---------------------------------------------------------------------------------------------

    def append_definition(
        self, kind: str, subject: str, version: int, at: int, actor: str, body: dict[str, Any]
    ) -> None:
        """Append to the stream what an asset, an account or an encumbrance is from now on."""
        identifier = f"{kind}:{subject}:{version}"
        fields = (self.tenant, identifier, kind, subject, version, at, actor, canonical(body))
        digest = definition_hash(fields)
        self.uow.insert(ledger_definitions, (*fields, digest))
        self.uow.seal(self.tenant, DEFINITION_STREAM, identifier, digest)


def account_body(definition: Definition) -> dict[str, Any]:
    """What the definition stream says about an account."""
    return {
        "owner": definition.owner,
        "asset": definition.asset,
        "purpose": definition.purpose,
        "may_go_negative": definition.may_go_negative,
        "frozen": definition.frozen,
        "cap": definition.cap,
        "opened_at": definition.opened_at,
    }


def one_of(uow: UnitOfWork, column: str, values: Collection[int]) -> tuple[str, Any]:
    """The condition that `column` is one of `values`, and its one parameter: the same statement for any count."""
    if uow.dialect == "postgresql":
        return f"{column} = ANY(%s::bigint[])", _literal(values)
    return f"{column} IN (SELECT value FROM json_each(%s))", json.dumps(list(values))


def _literal(values: Iterable[int]) -> str:
    """A PostgreSQL array literal, made at a fraction of the cost of psycopg's list adapter."""
    return "{" + ",".join(map(str, values)) + "}"


def _account(row: Sequence[Any]) -> Account:
    number, owner, asset, purpose, may_go_negative, frozen, cap, opened_at, version, posted, held, next_expiry = row
    definition = Definition(
        number, owner, asset, purpose, bool(may_go_negative), bool(frozen), cap, opened_at, version
    )  # fmt: skip
    return Account(definition, posted, held, next_expiry)
