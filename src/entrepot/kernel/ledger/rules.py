"""Applying transfers to account balances, in order, without I/O: the meaning of the ledger.

A transfer moves `amount` from its debit account to its credit account, so `posted` is credits minus debits: what the
owner has. Available = posted - held. Nothing here knows a database: `apply` changes the account states it is given and
says for every transfer what became of it; the caller stores the entries.

    alice 1000, bob 0                     posted   held   available
    hold alice -> bob 300     alice         1000    300         700
    capture 200 of it         alice          800      0         800     (100 freed)   bob 200
"""

from collections.abc import Callable, Iterable, Sequence

from entrepot.kernel.ledger.states import (
    BATCH_LIMIT,
    INT64_MAX,
    INT64_MIN,
    OK,
    Account,
    Code,
    Entry,
    Hold,
    HoldStatus,
    Outcome,
    Result,
    Transfer,
)

_FAILED: dict[Code, Result] = {code: Result(code) for code in Code}
_GROUP_FAILED = _FAILED[Code.GROUP_FAILED]
_CLOSED: dict[HoldStatus, Code] = {
    "captured": Code.HOLD_CAPTURED,
    "released": Code.HOLD_RELEASED,
    "expired": Code.HOLD_EXPIRED,
    "returned": Code.HOLD_RETURNED,
}


class Book:
    """The accounts and holds that one batch works on. `log` records changes while a group may still be undone."""

    __slots__ = ("accounts", "entries", "hold_log", "holds", "log", "new_hold", "now_us")

    def __init__(
        self, accounts: dict[int, Account], holds: dict[int, Hold], now_us: int, new_hold: Callable[[int], int]
    ) -> None:
        self.accounts = accounts
        self.holds = holds
        self.now_us = now_us
        self.new_hold = new_hold
        self.entries: list[Entry] = []
        self.log: list[tuple[Account, int, int, int, int, int]] | None = None
        self.hold_log: list[tuple[int, Hold | None]] = []


def apply(
    transfers: Sequence[Transfer],
    accounts: dict[int, Account],
    holds: dict[int, Hold],
    now_us: int,
    new_hold: Callable[[int], int],
    all_or_nothing: bool = False,
) -> Outcome:
    """Apply 1 to 8,000 transfers in order to `accounts` and `holds`, which change in place.

    `accounts` and `holds` hold every account and hold that the transfers name and that exists, already matured to
    `now_us` (see `mature`). `new_hold(number)` gives the id of a hold opened by transfer `number`. With
    `all_or_nothing` the whole batch is one group, and the results stop at the first failure.
    """
    assert len(transfers) <= BATCH_LIMIT, f"{len(transfers)} transfers in a batch, at most {BATCH_LIMIT}"
    book = Book(accounts, holds, now_us, new_hold)
    if all_or_nothing:
        return Outcome(_apply_group(book, transfers, 0, len(transfers)), book.entries)
    results: list[Result] = []
    split = _split_groups(transfers)
    number, count = 0, len(transfers)
    while number < count:
        transfer = transfers[number]
        group = transfer.group
        if not group:
            results.append(_ACTIONS.get(transfer.action, _unknown)(book, number, transfer))
            number += 1
            continue
        end = number + 1
        while end < count and transfers[end].group == group:
            end += 1
        if group in split:
            results.extend([_FAILED[Code.GROUP_SPLIT]] * (end - number))
        else:
            results.extend(_apply_group(book, transfers, number, end))
        number = end
    return Outcome(results, book.entries)


def mature(accounts: dict[int, Account], holds: Iterable[Hold], now_us: int) -> list[Hold]:
    """Let the clock release the open holds that have expired by `now_us`; the holds as they are then.

    The time of release is the expiry itself, whenever it is noticed.
    """
    matured: list[Hold] = []
    for hold in holds:
        if hold.status == "open" and 0 < hold.expires_us <= now_us:
            accounts[hold.debit].held -= hold.amount
            matured.append(hold._replace(status="expired", closed_at=hold.expires_us))
    return matured


def held_at(holds: Iterable[Hold], at_us: int) -> int:
    """The sum of the amounts that these holds set aside at an instant."""
    return sum(
        hold.amount
        for hold in holds
        if hold.opened_at <= at_us
        and not 0 < hold.closed_at <= at_us
        and not 0 < hold.expires_us <= at_us
    )  # fmt: skip


# --- one transfer ------------------------------------------------------------------------------------------------


def _post(book: Book, number: int, transfer: Transfer) -> Result:
    debit_id, credit_id, amount, _, group, hold_id, expires_us, reference = transfer
    debit, credit = book.accounts.get(debit_id), book.accounts.get(credit_id)
    if debit is None or credit is None or debit is credit or not 0 < amount <= INT64_MAX:
        return _FAILED[_pair(book, transfer)]
    definition, receiver = debit.definition, credit.definition
    if definition.asset != receiver.asset or expires_us:
        return _FAILED[Code.EXPIRY_NOT_ALLOWED if definition.asset == receiver.asset else Code.ASSETS_DIFFER]
    if hold_id:
        code = _returnable(book.holds.get(hold_id), transfer)
        if code is not Code.OK:
            return _FAILED[code]
    if definition.frozen and not hold_id:  # a payout that the bank sent back is a fact, frozen or not
        return _FAILED[Code.FROZEN]
    available = debit.posted - amount - debit.held
    if available < 0 and not definition.may_go_negative:
        return _FAILED[Code.INSUFFICIENT]
    received = credit.posted + amount
    if receiver.cap is not None and received > receiver.cap:
        return _FAILED[Code.OVER_CAP]
    if received > INT64_MAX or available < INT64_MIN:
        return _FAILED[Code.BALANCE_OVERFLOW]
    if book.log is not None:
        _remember(book, debit)
        _remember(book, credit)
    debit.posted -= amount
    debit.low = min(debit.low, available)
    credit.posted = received
    credit.high = max(credit.high, received)
    if hold_id:
        _replace_hold(book, book.holds[hold_id]._replace(status="returned"))
    book.entries.append(Entry(number, debit_id, credit_id, amount, "post", group, hold_id, 0, reference))
    return Result(Code.OK, hold_id) if hold_id else OK


def _hold(book: Book, number: int, transfer: Transfer) -> Result:
    code = _pair(book, transfer)
    if code is not Code.OK:
        return _FAILED[code]
    debit_id, credit_id, amount, _, group, hold_id, expires_us, reference = transfer
    hold_id = hold_id or book.new_hold(number)
    if hold_id in book.holds:
        return _FAILED[Code.HOLD_EXISTS]
    if expires_us and expires_us <= book.now_us:
        return _FAILED[Code.EXPIRY_PAST]
    debit = book.accounts[debit_id]
    definition = debit.definition
    if definition.frozen:
        return _FAILED[Code.FROZEN]
    held = debit.held + amount
    available = debit.posted - held
    if available < 0 and not definition.may_go_negative:
        return _FAILED[Code.INSUFFICIENT]
    if held > INT64_MAX or available < INT64_MIN:
        return _FAILED[Code.BALANCE_OVERFLOW]
    if book.log is not None:
        _remember(book, debit)
    debit.held = held
    if available < debit.low:
        debit.low = available
    if expires_us and (not debit.next_expiry or expires_us < debit.next_expiry):
        debit.next_expiry = expires_us
    _replace_hold(book, Hold(hold_id, debit_id, credit_id, amount, expires_us, book.now_us))
    book.entries.append(Entry(number, debit_id, credit_id, amount, "hold", group, hold_id, expires_us, reference))
    return Result(Code.OK, hold_id)


def _capture(book: Book, number: int, transfer: Transfer) -> Result:
    hold, code = _open_hold(book, transfer)
    if hold is None:
        return _FAILED[code]
    amount = transfer.amount or hold.amount
    if amount > hold.amount:
        return _FAILED[Code.EXCEEDS_HOLD]
    debit, credit = book.accounts[hold.debit], book.accounts[hold.credit]
    received = credit.posted + amount
    code = _receivable(credit, received)
    if code is not Code.OK:
        return _FAILED[code]
    if book.log is not None:
        _remember(book, debit)
        _remember(book, credit)
    debit.posted -= amount
    debit.held -= hold.amount
    credit.posted = received
    if received > credit.high:
        credit.high = received
    _replace_hold(book, hold._replace(status="captured", captured=amount, closed_at=book.now_us))
    book.entries.append(
        Entry(number, hold.debit, hold.credit, amount, "capture", transfer.group, hold.id, 0, transfer.reference)
    )
    return Result(Code.OK, hold.id)


def _release(book: Book, number: int, transfer: Transfer) -> Result:
    hold, code = _open_hold(book, transfer)
    if hold is None:
        return _FAILED[code]
    if transfer.amount not in (0, hold.amount):
        return _FAILED[Code.EXCEEDS_HOLD]
    debit = book.accounts[hold.debit]
    if book.log is not None:
        _remember(book, debit)
    debit.held -= hold.amount
    _replace_hold(book, hold._replace(status="released", closed_at=book.now_us))
    book.entries.append(
        Entry(number, hold.debit, hold.credit, hold.amount, "release", transfer.group, hold.id, 0, transfer.reference)
    )
    return Result(Code.OK, hold.id)


def _unknown(book: Book, number: int, transfer: Transfer) -> Result:
    return _FAILED[Code.UNKNOWN_ACTION]


_ACTIONS: dict[str, Callable[[Book, int, Transfer], Result]] = {
    "post": _post,
    "hold": _hold,
    "capture": _capture,
    "release": _release,
}


def _pair(book: Book, transfer: Transfer) -> Code:
    """Whether a post or a hold names a good amount and two different accounts of one asset."""
    amount = transfer.amount
    if amount <= 0:
        return Code.AMOUNT_NOT_POSITIVE
    if amount > INT64_MAX:
        return Code.AMOUNT_OVERFLOW
    if transfer.debit == transfer.credit:
        return Code.SAME_ACCOUNT
    debit = book.accounts.get(transfer.debit)
    if debit is None:
        return Code.DEBIT_NOT_FOUND
    credit = book.accounts.get(transfer.credit)
    if credit is None:
        return Code.CREDIT_NOT_FOUND
    return Code.OK if debit.definition.asset == credit.definition.asset else Code.ASSETS_DIFFER


def _receivable(credit: Account, posted: int) -> Code:
    """Whether the account may come to hold this posted balance."""
    cap = credit.definition.cap
    if cap is not None and posted > cap:
        return Code.OVER_CAP
    return Code.OK if posted <= INT64_MAX else Code.BALANCE_OVERFLOW


def _open_hold(book: Book, transfer: Transfer) -> tuple[Hold | None, Code]:
    """The open hold that a capture or release ends, or the reason why there is none."""
    if transfer.amount < 0:
        return None, Code.AMOUNT_NOT_POSITIVE
    if transfer.amount > INT64_MAX:
        return None, Code.AMOUNT_OVERFLOW
    hold = book.holds.get(transfer.hold)
    if hold is None:
        return None, Code.HOLD_NOT_FOUND
    if hold.status != "open":
        return None, _CLOSED[hold.status]
    assert not 0 < hold.expires_us <= book.now_us, "holds are matured before a batch is applied"
    if transfer.debit not in (0, hold.debit) or transfer.credit not in (0, hold.credit):
        return None, Code.ACCOUNTS_DIFFER
    if transfer.expires_us:
        return None, Code.EXPIRY_NOT_ALLOWED
    return hold, Code.OK


def _returnable(hold: Hold | None, transfer: Transfer) -> Code:
    """Whether a post that names a hold may send its captured amount back: whole, once, the other way round."""
    if hold is None:
        return Code.HOLD_NOT_FOUND
    if hold.status != "captured":
        return _CLOSED.get(hold.status, Code.HOLD_OPEN)
    if transfer.debit != hold.credit or transfer.credit != hold.debit:
        return Code.ACCOUNTS_DIFFER
    return Code.OK if transfer.amount == hold.captured else Code.EXCEEDS_HOLD


# --- groups ------------------------------------------------------------------------------------------------------


def _apply_group(book: Book, transfers: Sequence[Transfer], start: int, end: int) -> list[Result]:
    """Apply transfers start..end all or nothing: the failing one answers why, the others `group-failed`."""
    if end - start == 1:  # one transfer is all or nothing by itself
        return [_ACTIONS.get(transfers[start].action, _unknown)(book, start, transfers[start])]
    book.log, book.hold_log = [], []
    kept = len(book.entries)
    results: list[Result] = []
    for number in range(start, end):
        transfer = transfers[number]
        result = _ACTIONS.get(transfer.action, _unknown)(book, number, transfer)
        if result.code is not Code.OK:
            _undo(book, kept)
            results = [_GROUP_FAILED] * (end - start)
            results[number - start] = result
            break
        results.append(result)
    book.log = None
    return results


def _split_groups(transfers: Sequence[Transfer]) -> set[int]:
    """The group numbers that occur in more than one run of adjacent transfers."""
    seen: set[int] = set()
    split: set[int] = set()
    previous = 0
    for transfer in transfers:
        group = transfer.group
        if group != previous:
            if group in seen:
                split.add(group)
            elif group:
                seen.add(group)
            previous = group
    return split


def _remember(book: Book, account: Account) -> None:
    assert book.log is not None
    book.log.append((account, account.posted, account.held, account.next_expiry, account.low, account.high))


def _replace_hold(book: Book, hold: Hold) -> None:
    if book.log is not None:
        book.hold_log.append((hold.id, book.holds.get(hold.id)))
    book.holds[hold.id] = hold


def _undo(book: Book, kept: int) -> None:
    assert book.log is not None
    del book.entries[kept:]
    for account, posted, held, next_expiry, low, high in reversed(book.log):
        account.posted, account.held, account.next_expiry = posted, held, next_expiry
        account.low, account.high = low, high
    for number, hold in reversed(book.hold_log):
        if hold is None:
            del book.holds[number]
        else:
            book.holds[number] = hold
