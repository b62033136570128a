"""The ledger: whatever can be owned, in double entry.

    ledger.define_asset("CNY", 2, "currency", "bank", bank_account="...")
    bank = ledger.account("bank", "CNY", "issue", may_go_negative=True)
    firm = ledger.account("firm", "CNY")
    ledger.transfer(bank, firm, 1_000_00)            # bank -100000, firm 100000: the asset sums to zero
    payment = ledger.hold(firm, bank, 400_00)        # firm: posted 100000, held 40000, available 60000
    ledger.capture(payment, 250_00)                  # firm: posted 75000, held 0; the rest is free again

An amount leaves the debit account and arrives at the credit account. Every method works on the unit of work of its
scope: nothing here commits.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NoReturn

from entrepot.kernel.database import Scope
from entrepot.kernel.database.schema import from_us, to_us
from entrepot.kernel.ledger import encumbrances, export, layout, payouts, reading, rules, states, verification
from entrepot.kernel.ledger.books import Books
from entrepot.kernel.ledger.reading import describe
from entrepot.kernel.ledger.states import BATCH_LIMIT, Code, Definition, Hold, Result, Transfer
from entrepot.kernel.ledger.tables import BATCH_STREAM, ledger_assets, ledger_batches, ledger_transfers
from entrepot.kernel.ledger.values import AccountRecord, Asset, Balance, Encumbrance, Payout, Statement
from entrepot.kernel.operations.canonical import canonical
from entrepot.kernel.operations.errors import Conflict, Forbidden, Invalid, NotFound, Refusal

NAME_LIMIT = 200
MAX_SCALE = 18
_NOT_FOUND = frozenset({Code.DEBIT_NOT_FOUND, Code.CREDIT_NOT_FOUND, Code.HOLD_NOT_FOUND})
_STATE = frozenset({
    Code.FROZEN, Code.INSUFFICIENT, Code.OVER_CAP, Code.BALANCE_OVERFLOW, Code.HOLD_EXISTS, Code.HOLD_OPEN,
    Code.HOLD_CAPTURED, Code.HOLD_RELEASED, Code.HOLD_EXPIRED, Code.HOLD_RETURNED,
})  # fmt: skip


class Ledger:
    """The ledger of one tenant, inside one unit of work."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.tenant = scope.tenant
        name = f"ledger:{scope.tenant}"
        books = scope.uow.local.get(name)
        if books is None:
            books = scope.uow.local[name] = Books(scope.uow, scope.tenant)
        self.books: Books = books

    # --- assets and accounts -------------------------------------------------------------------------------------

    def define_asset(self, code: str, scale: int, kind: str, issuer: str, **details: Any) -> Asset:
        """Define what can be owned; the same definition again changes nothing.

        `scale` is the number of decimals (0 to 18), `kind` one of currency, points, goods, receipt, receivable, coupon,
        share and the like. A currency is money at a licensed issuer, mirrored here: it names its `bank_account`.
        Raises Invalid, and Conflict when the code stands for something else.
        """
        for what, name in (("asset code", code), ("asset kind", kind), ("issuer", issuer)):
            _check_name(what, name)
        if not 0 <= scale <= MAX_SCALE:
            raise Invalid("ledger/scale", f"Asset {code}: the scale must be 0 to {MAX_SCALE}, not {scale}.")
        if kind == "currency" and not details.get("bank_account"):
            raise Invalid(
                "ledger/no-bank-account", f"Currency {code} must name the bank account of its issuer {issuer}."
            )
        asset = Asset(code, scale, kind, issuer, details)
        known = self.books.assets.get(code) or reading.find_asset(self.scope.uow, self.tenant, code)
        if known is not None:
            if known != asset:
                raise Conflict("ledger/asset-differs", f"Asset {code} is already defined in another way.")
            return known
        uow, now_us = self.scope.uow, self.scope.now_us
        uow.insert(ledger_assets, (self.tenant, code, scale, kind, issuer, canonical(details), now_us))
        self.books.append_definition("asset", code, 1, now_us, self.scope.actor_id, reading.asset_body(asset, now_us))
        uow.set(self.books.assets, code, asset)
        return asset

    def asset(self, code: str) -> Asset:
        """The definition of an asset. Raises NotFound."""
        asset = self.books.assets.get(code) or reading.find_asset(self.scope.uow, self.tenant, code)
        if asset is None:
            raise NotFound("ledger/unknown-asset", f"There is no asset {code!r}.", asset=code)
        return asset

    def account(
        self, owner: str, asset: str, purpose: str = "main", *, may_go_negative: bool = False, cap: int | None = None
    ) -> int:
        """The id of an account, opened on first use.

        `cap` is the most it may hold. Only accounts of the asset's issuer may go negative. Raises NotFound for an
        unknown asset, Forbidden for a negative account of another than the issuer, Conflict when the account exists
        with other limits.
        """
        number = layout.account_id(self.tenant, owner, asset, purpose)
        books = self.books
        if number not in books.accounts and number not in books.wanted and number not in books.hints:
            issuer = self.asset(asset).issuer
            if may_go_negative and owner != issuer:
                raise Forbidden("ledger/not-issuer", f"Only {issuer}, who issues {asset}, may go below zero in it.")
            _check_name("owner", owner)
            _check_name("purpose", purpose)
            _check_cap(cap)
            definition = Definition(number, owner, asset, purpose, may_go_negative, False, cap, self.scope.now_us, 1)
            books.want(definition, self.scope.actor_id)
        if cap is not None:
            self._check_limits(self._known(number).definition, may_go_negative, cap)
        elif may_go_negative:
            self.books.load((number,), self.scope.now_us)  # what it was opened as never changes: a hint will do
            self._check_limits(self.books.accounts[number].definition, may_go_negative, cap)
        return number

    @staticmethod
    def _check_limits(known: Definition, may_go_negative: bool, cap: int | None) -> None:
        if (may_go_negative and not known.may_go_negative) or (cap is not None and known.cap != cap):
            raise Conflict(
                "ledger/account-differs",
                f"The account {known.purpose!r} of {known.owner} in {known.asset} exists with other limits.",
            )

    def freeze(self, account: int) -> None:
        """Let nothing more leave the account (只收不付). Credits, and holds placed before, go on."""
        self._redefine(account, frozen=True)

    def unfreeze(self, account: int) -> None:
        """Undo `freeze`."""
        self._redefine(account, frozen=False)

    def set_cap(self, account: int, cap: int | None) -> None:
        """Change the most the account may hold; a balance above a new cap stays, but nothing more is let in."""
        _check_cap(cap)
        self._redefine(account, cap=cap)

    def _redefine(self, account: int, **changes: Any) -> None:
        known = self._known(account).definition
        changed = known._replace(**changes)
        if changed != known:
            changed = changed._replace(version=known.version + 1)
            self.books.redefine(account, changed, self.scope.now_us, self.scope.actor_id)

    # --- transfers -----------------------------------------------------------------------------------------------

    def post(self, transfers: Sequence[Transfer], *, reference: str = "", key: str = "") -> list[Result]:
        """Apply all of the 1 to 8,000 transfers, in order, or raise Refusal with the reason of the first that fails."""
        results = self._apply(transfers, reference, key, all_or_nothing=True)
        for number, result in enumerate(results):
            if result.code not in (Code.OK, Code.GROUP_FAILED):
                self._refuse(number, transfers[number], result.code)
        return results

    def apply(self, transfers: Sequence[Transfer], *, reference: str = "", key: str = "") -> list[Result]:
        """Apply 1 to 8,000 transfers in order, each with its own result; a group inside is all or nothing.

        With a `key` the same transfers sent again answer the same results and do nothing; other transfers under the
        same key raise Conflict.
        """
        return self._apply(transfers, reference, key, all_or_nothing=False)

    def _apply(self, transfers: Sequence[Transfer], reference: str, key: str, *, all_or_nothing: bool) -> list[Result]:
        if not 1 <= len(transfers) <= BATCH_LIMIT:
            raise Invalid("ledger/batch-size", f"A batch has 1 to {BATCH_LIMIT} transfers, not {len(transfers)}.")
        request = ""
        if key:
            request = layout.request_hash(transfers, all_or_nothing)
            earlier = self._answered(key, request, len(transfers))
            if earlier is not None:
                return earlier
        scope, books = self.scope, self.books
        batch = scope.new_id("bat")

        def new_hold(number: int) -> int:
            return layout.hold_id(self.tenant, batch, number)

        accounts, holds = self._loaded(transfers)
        results, entries = rules.apply(transfers, accounts, holds, scope.now_us, new_hold, all_or_nothing)
        if books.guessed and any(result.code is not Code.OK for result in results):
            books.refresh(accounts)  # nobody is refused by what the process last knew
            accounts, holds = self._loaded(transfers)
            results, entries = rules.apply(transfers, accounts, holds, scope.now_us, new_hold, all_or_nothing)
        if entries or key:
            self._write_batch(batch, entries, results, reference, key, request)
        if key:
            scope.uow.set(books.answered, key, (request, results))
        changed: set[int] = set()
        for entry in entries:
            changed.add(entry.debit)
            if entry.action in ("post", "capture"):
                changed.add(entry.credit)
            if entry.hold:
                books.change_hold(holds[entry.hold])
        for number in changed:
            books.change(number, accounts[number])
        return results

    def _loaded(self, transfers: Sequence[Transfer]) -> tuple[dict[int, states.Account], dict[int, Hold]]:
        """Copies of the accounts and holds that the transfers name."""
        books = self.books
        ids = {transfer.debit for transfer in transfers}
        ids.update(transfer.credit for transfer in transfers)
        holds: dict[int, Hold] = {}
        named = {transfer.hold for transfer in transfers if transfer.hold}
        if named:
            books.load_holds(named)
            holds = {number: books.holds[number] for number in named if number in books.holds}
            for hold in holds.values():
                ids.update((hold.debit, hold.credit))
        books.load(ids, self.scope.now_us)  # which lets expired holds go
        holds = {number: books.holds[number] for number in holds}
        return {number: books.accounts[number].copy() for number in ids if number in books.accounts}, holds

    def _answered(self, key: str, request: str, count: int) -> list[Result] | None:
        """What this key was answered before. Raises Conflict when the transfers were others."""
        earlier = self.books.answered.get(key) or reading.find_results(self.scope.uow, self.tenant, key, count)
        if earlier is None:
            return None
        if earlier[0] != request:
            raise Conflict("ledger/other-content", f"The key {key!r} was used with other transfers; send a new key.")
        return earlier[1]

    def _write_batch(
        self, batch: str, entries: Sequence[states.Entry], results: Sequence[Result], reference: str, key: str,
        request: str,
    ) -> None:  # fmt: skip
        scope, tenant = self.scope, self.tenant
        insert, now_us = scope.uow.insert, scope.now_us
        failures = [[number, result.code] for number, result in enumerate(results) if result.code is not Code.OK]
        said = canonical(failures) if failures else "[]"
        rows = [tuple(entry) for entry in entries]
        header = (tenant, batch, now_us, scope.actor_id, key, request, said, reference, len(rows))
        digest = layout.batch_hash(header, rows)
        insert(ledger_batches, (*header, digest))
        scope.uow.seal(tenant, BATCH_STREAM, batch, digest)
        for row in rows:
            insert(ledger_transfers, (tenant, batch, row[0], now_us, *row[1:]))

    def _refuse(self, number: int, transfer: Transfer, code: Code) -> NoReturn:
        kind: type[Refusal] = NotFound if code in _NOT_FOUND else Conflict if code in _STATE else Invalid
        raise kind(
            f"ledger/{code}", f"Transfer {number}: {describe(code)}{self._figures(transfer, code)}.", transfer=number
        )

    def _figures(self, transfer: Transfer, code: Code) -> str:
        account = self.books.accounts.get(transfer.debit)
        if code is not Code.INSUFFICIENT or account is None:
            return ""
        available = account.posted - account.held
        return f": {available} available, {transfer.amount} needed ({account.definition.asset})"

    def transfer(self, debit: int, credit: int, amount: int, *, reference: str = "") -> Result:
        """Move an amount now. Raises Refusal."""
        return self.post((Transfer(debit, credit, amount, reference=reference),), reference=reference)[0]

    def hold(
        self, debit: int, credit: int, amount: int, *, expires: datetime | None = None, reference: str = ""
    ) -> int:
        """Set an amount aside for `credit`, until captured, released or expired; the hold's id. Raises Refusal."""
        expires_us = to_us(expires) if expires is not None else 0
        transfer = Transfer(debit, credit, amount, "hold", expires_us=expires_us, reference=reference)
        return self.post((transfer,), reference=reference)[0].hold

    def capture(self, hold: int, amount: int | None = None, *, reference: str = "") -> Result:
        """Move a held amount, or part of it, to the credit account; the rest is free again. Raises Refusal."""
        if amount is not None and amount <= 0:
            raise Invalid("ledger/amount-not-positive", f"A capture takes a positive amount, not {amount}.")
        return self.post(
            (Transfer(0, 0, amount or 0, "capture", hold=hold, reference=reference),), reference=reference
        )[0]

    def release(self, hold: int, *, reference: str = "") -> Result:
        """Give a held amount free. Raises Refusal."""
        return self.post((Transfer(0, 0, 0, "release", hold=hold, reference=reference),), reference=reference)[0]

    # --- reading -------------------------------------------------------------------------------------------------

    def balance(self, account: int, at: datetime | None = None) -> Balance:
        """The balance now or as of a past time; a wanted account that is not opened yet has none. Raises NotFound."""
        state = self._known(account)
        if at is not None and to_us(at) < self.scope.now_us:
            self._write_pending()
            posted, held = reading.balance_at(self.scope.uow, self.tenant, account, to_us(at))
        else:
            posted, held = state.posted, state.held
        return Balance(posted, held, posted - held)

    def balances(self, accounts: Sequence[int]) -> list[Balance]:
        """The balances of several accounts now, read together. Raises NotFound."""
        self.books.load(accounts, self.scope.now_us, fresh=True)
        return [self.balance(account) for account in accounts]

    def statement(
        self,
        account: int,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str = "",
        limit: int = 100,
    ) -> Statement:
        """The movements from `since` (included) to `until` (not included), with the running balance, a page at a time.

        Raises NotFound for an unknown account, Invalid for an `after` that no statement gave.
        """
        self._known(account)
        self._write_pending()
        span = (to_us(since) if since else 0, to_us(until) if until else states.INT64_MAX)
        return reading.statement(self.scope.uow, self.tenant, account, span, after, limit)

    def account_record(self, account: int) -> AccountRecord:
        """What an account is, with its present balance. Raises NotFound."""
        state = self._known(account)
        number, owner, asset, purpose, may_go_negative, frozen, cap, opened_at, _ = state.definition
        return AccountRecord(
            number, owner, asset, purpose, may_go_negative, frozen, cap, from_us(opened_at),
            state.posted, state.held, state.posted - state.held,
        )  # fmt: skip

    def accounts(self, owner: str = "", asset: str = "", *, after: int = 0, limit: int = 1000) -> list[AccountRecord]:
        """The accounts of an owner, of an asset, or all, in the order of their ids."""
        self._write_pending()
        ids = reading.account_ids(self.scope.uow, self.tenant, owner, asset, after, limit)
        self.books.load(ids, self.scope.now_us, fresh=True)
        return [self.account_record(number) for number in ids]

    def assets(self) -> list[Asset]:
        """Every asset, by code."""
        return reading.all_assets(self.scope.uow, self.tenant)

    def hold_record(self, hold: int) -> Hold:
        """A hold as it is now. Raises NotFound."""
        self.books.load_holds((hold,))
        known = self.books.holds.get(hold)
        if known is None:
            raise NotFound("ledger/hold-not-found", f"There is no hold {hold}.", hold=hold)
        if known.status == "open" and 0 < known.expires_us <= self.scope.now_us:
            return known._replace(status="expired", closed_at=known.expires_us)
        return known

    def _known(self, account: int) -> states.Account:
        self.books.load((account,), self.scope.now_us, fresh=True)
        state = self.books.accounts.get(account)
        if state is None:
            raise NotFound("ledger/account-not-found", f"There is no account {account}.", account=account)
        return state

    def _write_pending(self) -> None:
        if not self.scope.uow.read_only:
            self.books.write_now()

    # --- encumbrances and payouts ----------------------------------------------------------------------------------

    def encumber(
        self, account: int, creditor: str, amount: int, kind: str = "pledge", *, rank: int | None = None,
        published: datetime | None = None, reference: str = "",
    ) -> Encumbrance:  # fmt: skip
        """Give a creditor a claim on a quantity. Raises Refusal. See `encumbrances.encumber`."""
        return encumbrances.encumber(self, account, creditor, amount, kind, rank, published, reference)

    def release_encumbrance(self, encumbrance: str, amount: int | None = None, *, to: int | None = None) -> Encumbrance:
        """End a claim, or a part of it. Raises Refusal. See `encumbrances.release`."""
        return encumbrances.release(self, encumbrance, amount, to)

    def encumbrance(self, encumbrance: str) -> Encumbrance:
        """One claim by its id, standing or ended. Raises NotFound."""
        return encumbrances.get(self, encumbrance)

    def claimed(self, encumbrances_: Sequence[str]) -> int:
        """What the claims of these ids come to together, each counted as it stands or ended. Raises NotFound."""
        return encumbrances.claimed(self, encumbrances_)

    def encumbrances(
        self, *, account: int | None = None, owner: str = "", asset: str = "", creditor: str = "", closed: bool = False
    ) -> list[Encumbrance]:
        """The claims on an account, an owner's asset, or of a creditor: first those that are paid first."""
        return encumbrances.find(self, account, owner, asset, creditor, closed)

    def instruct_payout(self, debit: int, credit: int, amount: int, *, reference: str = "") -> int:
        """Set money aside that a bank is asked to pay; the hold's id. Raises Refusal."""
        return payouts.instruct(self, debit, credit, amount, reference)

    def confirm_payout(self, hold: int, *, reference: str = "") -> Payout:
        """The bank has paid: the money leaves. Raises Refusal."""
        return payouts.confirm(self, hold, reference)

    def fail_payout(self, hold: int, *, reference: str = "") -> Payout:
        """The bank has not paid: the money is free again. Raises Refusal."""
        return payouts.fail(self, hold, reference)

    def return_payout(self, hold: int, *, reference: str = "") -> Payout:
        """The bank has paid and got the money back: it returns whole, once. Raises Refusal."""
        return payouts.give_back(self, hold, reference)

    def payout(self, hold: int) -> Payout:
        """The state of a payout. Raises NotFound."""
        return payouts.of(self, hold)

    # --- the whole -------------------------------------------------------------------------------------------------

    def verify(self) -> list[verification.Difference]:
        """Recompute everything; empty when nothing differs. See `verification`."""
        self._write_pending()
        return verification.verify_books(self.scope.uow, self.tenant, self.scope.now_us)

    def export(self, form: str) -> Iterator[str]:
        """The lines of an hledger or Beancount journal of everything. Raises Invalid for another form."""
        self._write_pending()
        return export.journal(self.scope.uow, self.tenant, form)


def _check_name(what: str, name: str) -> None:
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        raise Invalid("ledger/name", f"The {what} must be 1 to {NAME_LIMIT} printable characters, not {name[:40]!r}.")


def _check_cap(cap: int | None) -> None:
    if cap is not None and not 0 <= cap <= states.INT64_MAX:
        raise Invalid("ledger/cap", f"A cap is 0 to {states.INT64_MAX}, not {cap}.")
