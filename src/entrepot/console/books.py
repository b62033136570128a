"""The ledger explorer: accounts with balances, and the statement of one account."""

from nicegui import ui

from entrepot.console.cases import linked, subject_link
from entrepot.console.desk import Desk
from entrepot.console.eventlog import EVIDENCE
from entrepot.console.pages import page
from entrepot.console.widgets import Column, Html, amount, escape, panel, short, stats, table, tag, when
from entrepot.kernel.ledger.operations import (
    READ_ALL,
    AccountView,
    GetBalance,
    GetStatement,
    LineView,
    ListAccounts,
    StatementView,
)

NO_ACCOUNTS = (("No accounts", "暂无账户"), ("An account opens with its first posting.", "首笔记账时自动开户。"))
NO_LINES = (
    ("No movements", "暂无流水"),
    ("Postings, holds and releases appear here.", "记账、冻结与解冻会显示在这里。"),
)
ACTIONS = {
    "post": ("posted", "记账"),
    "hold": ("held", "冻结"),
    "capture": ("captured", "扣收"),
    "release": ("released", "解冻"),
}
PURPOSES = {
    "main": ("free", "可用"),
    "issue": ("issue", "发行"),
    "owed": ("owed", "应还"),
    "principal": ("principal", "本金"),
    "interest": ("interest", "利息"),
}
PAGE = 200


@page("/ledger", ("Ledger", "账本"), icon="account_balance", group=EVIDENCE, order=60)
async def ledger_page(desk: Desk) -> None:
    """Accounts of the own party; a supervisor chooses a party or sees all."""
    chosen: dict[str, str] = {"owner": "", "asset": ""}

    async def fetch() -> list[AccountView]:
        owner = chosen["owner"] or ("" if desk.may(READ_ALL) else desk.actor.party)
        found: list[AccountView] = []
        after = ""
        while len(found) < 1000:
            answer = await desk.ask(ListAccounts(owner=owner, after=after, limit=PAGE))
            found += answer.accounts
            after = answer.after
            if not after:
                break
        return sorted(found, key=lambda a: (a.asset != "CNY", a.owner, a.asset, a.purpose))

    def draw(found: list[AccountView]) -> None:
        with panel(desk, ("Accounts", "账户")):
            table(desk, _account_columns(desk), found, NO_ACCOUNTS)

    if desk.may(READ_ALL):
        everyone = {"": desk.t(("All parties", "所有机构")), **desk.names}

        async def choose(event: object) -> None:
            chosen["owner"] = str(select.value or "")
            await refresh()

        select = ui.select(everyone, value="", label=desk.t(("Party", "机构")), on_change=choose)
        select.props("outlined dense").style("max-width:340px;background:#fff")
    refresh = await desk.part(fetch, draw)


@page("/ledger/{id}", ("Statement", "账户明细"))
async def statement_page(desk: Desk, id: str) -> None:
    """The movements of one account, the newest first."""
    account = id if id.isdigit() and len(id) <= 19 else "0"

    async def fetch() -> tuple[StatementView, int, int]:
        lines: list[LineView] = []
        after = ""
        while True:
            answer = await desk.ask(GetStatement(account=account, after=after, limit=1000))
            lines += answer.lines
            after = answer.after
            if not after or len(lines) >= 5_000:
                break
        balance = await desk.ask(GetBalance(account=account))
        return answer.model_copy(update={"lines": lines[::-1]}), balance.held, balance.available

    def draw(found: tuple[StatementView, int, int]) -> None:
        statement, held, available = found

        def shown(minor: int) -> str:
            return amount(minor, statement.asset, statement.scale)

        stats(
            desk,
            [
                (("Posted", "账面余额"), shown(statement.closing), statement.asset),
                (("Held", "冻结"), shown(held), ("counts as not available", "不可用")),
                (("Available", "可用"), shown(available), ""),
            ],
        )
        with panel(desk, ("Movements", "流水")):
            table(desk, _line_columns(desk, statement), statement.lines, NO_LINES)

    await desk.part(fetch, draw)


def _account_columns(desk: Desk) -> list[Column]:
    def figure(minor: int, account: AccountView) -> Html:
        text = amount(minor, account.asset, account.scale)
        return Html(f'<span class="{"muted" if minor == 0 else ""}">{text}</span>')

    return [
        Column(("Owner", "户主"), lambda a: desk.party(a.owner)),
        Column(("Asset", "资产"), lambda a: _asset(desk, a.asset)),
        Column(("Purpose", "用途"), lambda a: _purpose(desk, a.purpose)),
        Column(("Posted", "账面余额"), lambda a: figure(a.posted, a), "num"),
        Column(("Held", "冻结"), lambda a: figure(a.held, a), "num"),
        Column(("Available", "可用"), lambda a: figure(a.available, a), "num"),
        Column(("", ""), lambda a: tag(desk.t(("frozen", "已冻结")), "bad") if a.frozen else Html("")),
        Column(("Account", "账号"), lambda a: short(a.id, f"/ledger/{a.id}")),
    ]


def _purpose(desk: Desk, purpose: str) -> Html:
    kind, _, rest = purpose.partition(":")
    if kind == "pledged":
        return tag(desk.t((f"pledged to {desk.party(rest)}", f"质押给{desk.party(rest)}")), "warn")
    if kind == "receipt":
        return Html(f"{desk.t(('receipt', '仓单'))} {subject_link(rest)}")
    return tag(desk.t(PURPOSES.get(purpose, (purpose, purpose))))


def _asset(desk: Desk, asset: str) -> Html:
    if asset.startswith("claim."):
        return Html(f"{desk.t(('claim', '债权'))} {subject_link(asset.removeprefix('claim.'))}")
    return Html(escape(asset))


def _line_columns(desk: Desk, statement: StatementView) -> list[Column]:
    def shown(minor: int) -> str:
        return amount(minor, statement.asset, statement.scale)

    return [
        Column(("Time", "时间"), lambda line: when(line.at)),
        Column(("Kind", "类型"), lambda line: tag(desk.t(ACTIONS.get(line.action, (line.action, line.action))))),
        Column(("Amount", "金额"), lambda line: ("+" if line.amount > 0 else "") + shown(line.amount), "num"),
        Column(("Balance", "余额"), lambda line: shown(line.balance), "num"),
        Column(("Reference", "摘要"), lambda line: linked(line.reference)),
        Column(("Counter account", "对方账户"), lambda line: short(line.counter)),
        Column(("Batch", "批次"), lambda line: short(line.batch)),
    ]
