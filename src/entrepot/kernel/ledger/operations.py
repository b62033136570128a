"""Operations on the ledger: accounts, balances, statements; and posting, for operators.

Account and hold ids travel as decimal text: they have 63 bits, more than a JSON number keeps in JavaScript.
"""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from entrepot.kernel.database.schema import to_us
from entrepot.kernel.ledger.states import BATCH_LIMIT, INT64_MAX, Action, Transfer
from entrepot.kernel.ledger.values import AccountRecord
from entrepot.kernel.operations import Answer, Context, NotFound, RelationRule, Request

READ_ALL = "ledger:read_all"
Id = Annotated[
    str, Field(pattern=r"^[0-9]{1,19}$", description="Account id, decimal", examples=["4611686018427387904"])
]
Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")]


class AccountView(Answer):
    """An account with its balance, in minor units of the asset; `scale` is the number of decimals."""

    id: str
    owner: str
    asset: str
    scale: int
    purpose: str
    frozen: bool
    cap: int | None
    posted: int
    held: int
    available: int


class AccountList(Answer):
    """Accounts in the order of their ids; `after` continues the list, "" at its end."""

    accounts: list[AccountView]
    after: str


class BalanceView(Answer):
    """A balance as of a time, in minor units of the asset."""

    account: str
    asset: str
    scale: int
    at: datetime
    posted: int
    held: int
    available: int


class LineView(Answer):
    """A movement: positive when the account received."""

    at: datetime
    amount: int
    balance: int
    counter: str
    action: str
    reference: str
    batch: str


class StatementView(Answer):
    """Movements in the order of time with the running balance; `after` continues, "" at the end."""

    account: str
    asset: str
    scale: int
    opening: int
    closing: int
    lines: list[LineView]
    after: str


class PostedView(Answer):
    """What became of each transfer, in order; `holds` are the ids of the holds opened or ended, "" for none."""

    results: list[str]
    holds: list[str]


def _own_party(ctx: Context, request: Any) -> bool:
    return READ_ALL in ctx.actor.scopes or request.owner in ("", ctx.actor.party)


def _own_account(ctx: Context, request: Any) -> bool:
    if READ_ALL in ctx.actor.scopes:
        return True
    try:
        record = ctx.ledger.account_record(_number(request.account))
    except NotFound:
        return False
    party = ctx.actor.party
    return bool(party) and (record.owner == party or record.purpose == f"pledged:{party}")


OWN_PARTY = RelationRule("owner", ("owner", "supervisor"), _own_party, own_party=True)
"""The actor's own party; whoever holds `ledger:read_all` (auditors, the regulator) sees every party."""
OWN_ACCOUNT = RelationRule("account", ("owner", "creditor", "supervisor"), _own_account)
"""The account's owner, the creditor that it is pledged to, or a supervisor."""


class ListAccounts(Request[AccountList]):
    """Accounts of your party with their balances; a supervisor may name another party, or none for all."""

    owner: Text = Field("", description="The party; by default yours, for a supervisor all")
    asset: Text = Field("", description="Only this asset")
    after: Annotated[str, Field(pattern=r"^[0-9]{0,19}$")] = ""
    limit: int = Field(200, ge=1, le=1000)


@ListAccounts.query(
    "ledger.accounts",
    http="GET /accounts",
    scope="parties:self",
    title=("Accounts", "账户"),
    phrases=("what do I own", "my accounts", "我的账户"),
    relation=OWN_PARTY,
    example={"owner": "org_0"},
)
def list_accounts(ctx: Context, request: ListAccounts) -> AccountList:
    """In the order of their ids."""
    sees_all = READ_ALL in ctx.actor.scopes or ctx.actor.kind == "system"
    owner = request.owner if sees_all else ctx.actor.party
    if not (owner or sees_all):
        return AccountList(accounts=[], after="")
    after = _number(request.after) if request.after else 0
    records = ctx.ledger.accounts(owner, request.asset, after=after, limit=request.limit)
    more = str(records[-1].id) if len(records) == request.limit else ""
    return AccountList(accounts=[_account(ctx, record) for record in records], after=more)


class GetBalance(Request[BalanceView]):
    """The balance of an account, now or as of a past time."""

    account: Id
    at: AwareDatetime | None = Field(None, description="Now by default")


@GetBalance.query(
    "ledger.balance",
    http="GET /accounts/{account}/balance",
    scope="parties:self",
    title=("Balance", "余额"),
    phrases=("how much is on my account", "余额多少"),
    relation=OWN_ACCOUNT,
    example={"account": "4611686018427387904"},
)
def get_balance(ctx: Context, request: GetBalance) -> BalanceView:
    """Posted, held and available."""
    record = ctx.ledger.account_record(_number(request.account))
    posted, held, available = ctx.ledger.balance(record.id, request.at)
    return BalanceView(
        account=request.account, asset=record.asset, scale=ctx.ledger.asset(record.asset).scale,
        at=request.at or ctx.now, posted=posted, held=held, available=available,
    )  # fmt: skip


class GetStatement(Request[StatementView]):
    """The movements of an account with the running balance, a page at a time."""

    account: Id
    since: AwareDatetime | None = Field(None, description="Included")
    until: AwareDatetime | None = Field(None, description="Not included")
    after: Text = Field("", description="The `after` of the page before")
    limit: int = Field(100, ge=1, le=1000)


@GetStatement.query(
    "ledger.statement",
    http="GET /accounts/{account}/statement",
    scope="parties:self",
    title=("Statement", "账户明细"),
    phrases=("show my statement", "账户明细"),
    relation=OWN_ACCOUNT,
    example={"account": "4611686018427387904"},
)
def get_statement(ctx: Context, request: GetStatement) -> StatementView:
    """Oldest first."""
    record = ctx.ledger.account_record(_number(request.account))
    found = ctx.ledger.statement(record.id, request.since, request.until, request.after, request.limit)
    lines = [
        LineView(at=line.at, amount=line.amount, balance=line.balance, counter=str(line.counter), action=line.action,
                 reference=line.reference, batch=line.batch)
        for line in found.lines
    ]  # fmt: skip
    return StatementView(
        account=request.account, asset=record.asset, scale=ctx.ledger.asset(record.asset).scale,
        opening=found.opening, closing=found.closing, lines=lines, after=found.after,
    )  # fmt: skip


class TransferWish(Answer):
    """One transfer of a batch. Adjacent transfers of one `group` other than 0 succeed or fail together."""

    debit: Annotated[str, Field(pattern=r"^[0-9]{1,19}$")] = Field("0", description="Account that pays")
    credit: Annotated[str, Field(pattern=r"^[0-9]{1,19}$")] = Field("0", description="Account that receives")
    amount: int = Field(0, ge=0, le=INT64_MAX, description="Minor units; 0 on capture or release: all of the hold")
    action: Action = "post"
    group: int = Field(0, ge=0, le=2**31)
    hold: Annotated[str, Field(pattern=r"^[0-9]{1,19}$")] = Field("0", description="The hold to capture or release")
    expires: AwareDatetime | None = Field(None, description="Only for a hold: when it no longer counts")
    reference: Text = ""


class PostTransfers(Request[PostedView]):
    """Post a batch of transfers as the operator: openings, corrections, settlements."""

    transfers: list[TransferWish] = Field(min_length=1, max_length=BATCH_LIMIT)
    all_or_nothing: bool = Field(True, description="Refuse the whole batch when one transfer fails")
    reference: Text = Field(min_length=1, description="Why, for the books")


@PostTransfers.command(
    "ledger.post",
    http="POST /batches",
    scope="ledger:post",
    title=("Post transfers", "记账"),
    confirm=True,
    example={
        "transfers": [{"debit": "4611686018427387904", "credit": "4611686018427387905", "amount": 100}],
        "reference": "correction of 2026-01-05",
    },
)
def post_transfers(ctx: Context, request: PostTransfers) -> PostedView:
    """In order, each with its result."""
    transfers = [
        Transfer(
            _number(wish.debit), _number(wish.credit), wish.amount, wish.action, wish.group, _number(wish.hold),
            to_us(wish.expires) if wish.expires else 0, wish.reference,
        )
        for wish in request.transfers
    ]  # fmt: skip
    move = ctx.ledger.post if request.all_or_nothing else ctx.ledger.apply
    results = move(transfers, reference=request.reference)
    return PostedView(
        results=[str(result.code) for result in results],
        holds=[str(result.hold) if result.hold else "" for result in results],
    )


def _number(text: str) -> int:
    number = int(text)
    if number > INT64_MAX:
        raise NotFound("ledger/account-not-found", f"There is no account {text}.")
    return number


def _account(ctx: Context, record: AccountRecord) -> AccountView:
    return AccountView(
        id=str(record.id), owner=record.owner, asset=record.asset, scale=ctx.ledger.asset(record.asset).scale,
        purpose=record.purpose, frozen=record.frozen, cap=record.cap, posted=record.posted, held=record.held,
        available=record.available,
    )  # fmt: skip
