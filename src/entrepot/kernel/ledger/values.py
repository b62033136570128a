"""What the ledger answers: immutable values."""

from datetime import datetime
from typing import Any, Literal, NamedTuple

PayoutStatus = Literal["instructed", "confirmed", "failed", "returned"]


class Asset(NamedTuple):
    """Something that can be owned: amounts are whole numbers of 10**-scale units."""

    code: str
    scale: int
    kind: str
    issuer: str
    details: dict[str, Any]


class Balance(NamedTuple):
    """What the owner has, what is set aside of it, and the rest, in minor units."""

    posted: int
    held: int
    available: int


class AccountRecord(NamedTuple):
    """An account with its present balance, in minor units of the asset."""

    id: int
    owner: str
    asset: str
    purpose: str
    may_go_negative: bool
    frozen: bool
    cap: int | None
    opened: datetime
    posted: int
    held: int
    available: int


class Line(NamedTuple):
    """One movement on a statement; `amount` is positive when the account received, `balance` what it came to."""

    position: str
    at: datetime
    amount: int
    balance: int
    counter: int
    action: str
    reference: str
    batch: str
    hold: int


class Statement(NamedTuple):
    """Movements in the order of time. `after` continues with the next page; "" when there is none."""

    account: int
    opening: int
    closing: int
    lines: list[Line]
    after: str


class Encumbrance(NamedTuple):
    """A claim on an owner's quantity. `account` is where the quantity lies; `closed` is None while the claim stands."""

    id: str
    account: int
    origin: int
    owner: str
    asset: str
    creditor: str
    kind: str
    rank: int
    amount: int
    published: datetime | None
    reference: str
    opened: datetime
    closed: datetime | None


class Payout(NamedTuple):
    """Money on its way out through a bank: a hold until the bank answers."""

    hold: int
    debit: int
    credit: int
    amount: int
    status: PayoutStatus
