"""The nouns of the ledger: transfers, their results, the states of accounts and holds. No I/O."""

from enum import StrEnum
from typing import Literal, NamedTuple

INT64_MAX = 2**63 - 1
INT64_MIN = -INT64_MAX  # symmetrical, so that every balance can be negated
BATCH_LIMIT = 8_000

Action = Literal["post", "hold", "capture", "release"]
HoldStatus = Literal["open", "captured", "released", "expired", "returned"]


class Transfer(NamedTuple):
    """One wish to move value.

    `debit` pays, `credit` receives (account ids); `amount` in minor units of the asset. Adjacent transfers with the
    same non-zero `group` succeed or fail together. `hold` names the hold that a capture or release ends (there `debit`
    and `credit` may be 0: those of the hold; `amount` 0: all of it); on a `hold` action it may give the new hold's id;
    on a `post` it sends a captured hold back (a payout returned by the bank). `expires_us`, only on a hold, is the
    instant in microseconds from which the hold no longer counts; 0 is never.
    """

    debit: int
    credit: int
    amount: int
    action: Action = "post"
    group: int = 0
    hold: int = 0
    expires_us: int = 0
    reference: str = ""


class Code(StrEnum):
    """What became of a transfer. The checks run in the order of this list; the first that fails answers."""

    OK = "ok"
    GROUP_SPLIT = "group-split"  # the group's transfers are not adjacent
    GROUP_FAILED = "group-failed"  # another transfer of the group failed
    UNKNOWN_ACTION = "unknown-action"
    AMOUNT_NOT_POSITIVE = "amount-not-positive"
    AMOUNT_OVERFLOW = "amount-overflow"
    SAME_ACCOUNT = "same-account"
    DEBIT_NOT_FOUND = "debit-account-not-found"
    CREDIT_NOT_FOUND = "credit-account-not-found"
    ASSETS_DIFFER = "assets-differ"
    EXPIRY_NOT_ALLOWED = "expiry-not-allowed"  # only a hold may expire
    HOLD_NOT_FOUND = "hold-not-found"
    HOLD_EXISTS = "hold-exists"
    HOLD_OPEN = "hold-open"  # only a captured hold can be returned
    HOLD_CAPTURED = "hold-captured"
    HOLD_RELEASED = "hold-released"
    HOLD_EXPIRED = "hold-expired"
    HOLD_RETURNED = "hold-returned"
    ACCOUNTS_DIFFER = "accounts-differ-from-hold"
    EXCEEDS_HOLD = "exceeds-hold"
    EXPIRY_PAST = "expiry-past"
    FROZEN = "account-frozen"  # nothing more may leave; what arrives, and holds placed before, go on
    INSUFFICIENT = "insufficient"
    OVER_CAP = "over-cap"
    BALANCE_OVERFLOW = "balance-overflow"


class Result(NamedTuple):
    """The outcome of one transfer; `hold` is the id of the hold it opened or ended, else 0."""

    code: Code
    hold: int = 0


class Definition(NamedTuple):
    """What an account is, apart from its balance. `version` counts the changes, from 1."""

    id: int
    owner: str
    asset: str
    purpose: str
    may_go_negative: bool
    frozen: bool
    cap: int | None
    opened_at: int
    version: int


class Account:
    """The working state of one account. `low` and `high` remember how close to its limits it came.

    `low`: the least available balance after a checked debit; `high`: the greatest posted balance after a credit. With
    them the same transfers can be judged again on another starting balance (`still_holds`) without repeating them.
    """

    __slots__ = ("base_held", "base_posted", "definition", "held", "high", "low", "next_expiry", "posted")

    def __init__(self, definition: Definition, posted: int = 0, held: int = 0, next_expiry: int = 0) -> None:
        self.definition = definition
        self.posted = self.base_posted = posted
        self.held = self.base_held = held
        self.next_expiry = next_expiry  # the earliest expiry of its open holds, in microseconds; 0: none
        self.low = INT64_MAX
        self.high = INT64_MIN

    def copy(self) -> "Account":
        """A second state that may change on its own."""
        twin = Account.__new__(Account)
        twin.definition = self.definition
        twin.posted = self.posted
        twin.base_posted = self.base_posted
        twin.held = self.held
        twin.base_held = self.base_held
        twin.next_expiry = self.next_expiry
        twin.low = self.low
        twin.high = self.high
        return twin

    def on(self, found: "Account") -> "Account":
        """The same changes on another starting balance, where they still hold."""
        twin = self.copy()
        posted, held = found.posted - self.base_posted, found.held - self.base_held
        twin.base_posted, twin.base_held = found.posted, found.held
        twin.posted += posted
        twin.held += held
        if found.next_expiry:
            twin.next_expiry = min(found.next_expiry, self.next_expiry or found.next_expiry)
        if self.low < INT64_MAX:
            twin.low += posted - held
        if self.high > INT64_MIN:
            twin.high += posted
        return twin

    def still_holds(self, posted: int, held: int) -> bool:
        """Whether the same changes would have been allowed had the account started from this balance."""
        definition = self.definition
        shift = posted - self.base_posted
        top = self.high + shift
        if self.high > INT64_MIN and (top > INT64_MAX or (definition.cap is not None and top > definition.cap)):
            return False
        if self.low < INT64_MAX:
            floor = INT64_MIN if definition.may_go_negative else 0
            if self.low + shift - (held - self.base_held) < floor:
                return False
        return held + self.held - self.base_held <= INT64_MAX


class Hold(NamedTuple):
    """An amount set aside on `debit` for `credit`. `closed_at` is when it stopped counting; 0 while open."""

    id: int
    debit: int
    credit: int
    amount: int
    expires_us: int
    opened_at: int
    status: HoldStatus = "open"
    captured: int = 0
    closed_at: int = 0


class Entry(NamedTuple):
    """A transfer that took place, with the accounts and the amount that it came to: what the ledger stores."""

    number: int
    debit: int
    credit: int
    amount: int
    action: Action
    group: int
    hold: int
    expires_us: int
    reference: str


class Outcome(NamedTuple):
    """What `apply` answers: a result for each transfer, and the entries of those that took place."""

    results: list[Result]
    entries: list[Entry]


OK = Result(Code.OK)
