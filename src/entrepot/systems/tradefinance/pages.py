"""Console pages of trade finance: facilities with their loan-to-value, and each party's work on them."""

from dataclasses import dataclass

from nicegui import ui

from entrepot.console.cases import case_title
from entrepot.console.desk import Desk
from entrepot.console.eventlog import history_of
from entrepot.console.pages import page, tile
from entrepot.console.theme import AMBER, RED
from entrepot.console.widgets import (
    Column,
    Html,
    deadline,
    escape,
    facts,
    line_chart,
    link,
    money,
    panel,
    percent,
    plotted,
    raw,
    short,
    stats,
    table,
    tag,
    tonnes,
    when,
)
from entrepot.kernel.casework.operations import CaseView, ListCases
from entrepot.kernel.reference.operations import GetPrice, PriceView
from entrepot.systems.tradefinance.contract import FacilityView, LoanView
from entrepot.systems.tradefinance.operations import ListPledges, PledgeView
from entrepot.systems.tradefinance.page_actions import actions, approvals, releases
from entrepot.systems.tradefinance.queries import (
    GetFacility,
    InstructionView,
    ListFacilities,
    ListInstructions,
    ListLoans,
    ListValuations,
)

FINANCE = ("Finance", "金融")
LEVELS = {
    "ok": (("within lines", "正常"), "ok"),
    "warning": (("warning line", "触及警戒线"), "warn"),
    "top_up": (("top-up line", "触及补足线"), "bad"),
    "disposal": (("disposal line", "触及处置线"), "bad"),
}
STATES = {
    "drafted": (("awaiting signatures", "待签署"), "info"),
    "active": (("active", "生效"), "ok"),
    "closed": (("closed", "已结清"), ""),
    "requested": (("requested", "待审批"), "info"),
    "instructed": (("at the bank", "银行处理中"), "warn"),
    "booked": (("booked", "已入账"), "ok"),
    "failed": (("failed", "失败"), "bad"),
    "confirmed": (("confirmed", "银行已确认"), "ok"),
    "returned": (("returned", "已退回"), "bad"),
    "released": (("released", "已解除"), ""),
    "disposed": (("sold", "已处置"), "bad"),
}
KINDS = {
    "payout": ("payout", "放款"),
    "repayment": ("repayment", "还款"),
    "sale": ("sale", "处置变现"),
    "surplus": ("surplus", "余款返还"),
}
NO_FACILITIES = (
    ("No facilities", "暂无授信"),
    (
        "Facilities to which your party is lender, borrower or keeper appear here.",
        "本机构作为出质、质权或监管方的授信会显示在这里。",
    ),
)
NO_PLEDGES = (
    ("Nothing is pledged", "暂无质押"),
    ("The borrower pledges a receipt to draw.", "借款人质押仓单后方可提款。"),
)
NO_LOANS = (("No loans", "暂无贷款"), ("The borrower asks, the lender approves.", "借款人申请，贷款人审批。"))
NO_INSTRUCTIONS = (
    ("No instructions", "暂无指令"),
    ("Payouts and repayments pass through the bank.", "放款与还款经由银行办理。"),
)


@dataclass(frozen=True, slots=True)
class Whole:
    """All that the page of a facility shows."""

    facility: FacilityView
    price: PriceView | None
    pledges: list[PledgeView]
    loans: list[LoanView]
    instructions: list[InstructionView]
    cases: list[CaseView]
    path: list[tuple[str, float]]
    minute: int


# --- the list --------------------------------------------------------------------------------------------------------


@tile(scope="tradefinance:read", order=10)
async def facilities_tile(desk: Desk) -> None:
    """On the overview."""
    await _facilities(desk)


@page("/facilities", ("Facilities", "授信"), icon="handshake", scope="tradefinance:read", group=FINANCE, order=20)
async def facilities_page(desk: Desk) -> None:
    """Facilities by relation; all for a supervisor."""
    await _facilities(desk)


async def _facilities(desk: Desk) -> None:
    async def fetch() -> list[FacilityView]:
        return (await desk.ask(ListFacilities())).facilities

    def draw(found: list[FacilityView]) -> None:
        with panel(desk, ("Facilities and loan-to-value", "授信与质押率")):
            table(desk, _columns(desk), found, NO_FACILITIES)

    await desk.part(fetch, draw)


def _columns(desk: Desk) -> list[Column]:
    return [
        Column(("Facility", "授信"), lambda f: short(f.id, f"/facilities/{f.id}")),
        Column(("State", "状态"), lambda f: _state(desk, f.state)),
        Column(("Loan-to-value", "质押率"), lambda f: ltv_tag(desk, f)),
        Column(("Owed", "欠款"), lambda f: money(f.principal + f.interest), "num"),
        Column(("Collateral", "质物"), lambda f: tonnes(f.collateral_kg), "num"),
        Column(("Value", "估值"), lambda f: money(f.value), "num"),
        Column(("Borrower", "借款人"), lambda f: desk.party(f.borrower)),
        Column(("Lender", "贷款人"), lambda f: desk.party(f.lender)),
    ]


def _state(desk: Desk, state: str) -> Html:
    title, tone = STATES.get(state, ((state, state), ""))
    return tag(desk.t(title), tone)


def ltv_tag(desk: Desk, facility: FacilityView) -> Html:
    """The loan-to-value with the line that it has reached."""
    title, tone = LEVELS[facility.level]
    return Html(f"{tag(percent(facility.ltv_bp), tone)} <span class='muted'>{escape(desk.t(title))}</span>")


# --- one facility -----------------------------------------------------------------------------------------------


@page("/facilities/{id}", ("Facility", "授信"), scope="tradefinance:read")
async def facility_page(desk: Desk, id: str) -> None:
    """Figures, the path of the loan-to-value, agreement, pledges, loans, the bank, and the actor's own work."""
    await desk.ask(GetFacility(facility_id=id))

    async def fetch() -> Whole:
        facility = await desk.ask(GetFacility(facility_id=id))
        cases = await desk.try_ask(ListCases(subject=id))
        valuations = (await desk.ask(ListValuations(facility_id=id, limit=5_000))).valuations
        return Whole(
            facility,
            await desk.try_ask(GetPrice(series=facility.series)),
            (await desk.ask(ListPledges(facility_id=id))).pledges,
            (await desk.ask(ListLoans(facility_id=id))).loans,
            (await desk.ask(ListInstructions(facility_id=id))).instructions,
            cases.cases if cases else [],
            [(plotted(v.at), v.ltv_bp / 100) for v in valuations],
            desk.now_us // 60_000_000,
        )

    await desk.part(fetch, lambda whole: _draw(desk, whole), every_s=30)
    await history_of(desk, id)


def _draw(desk: Desk, whole: Whole) -> None:
    facility = whole.facility
    for case in whole.cases:
        _case_note(desk, case)
    _headline(desk, whole)
    actions(desk, facility)
    with ui.element("div").classes("two"):
        with panel(desk, ("Loan-to-value against its lines", "质押率与三线"), padded=True):
            if whole.path:
                _chart(desk, whole)
            else:
                raw(f'<div class="empty">{desk.t(("Nothing has been valued yet.", "尚无估值记录。"))}</div>')
        with panel(desk, ("Agreement", "协议"), padded=True):
            facts(desk, _agreement(desk, facility))
    with panel(desk, ("Pledges", "质押")):
        table(desk, _pledge_columns(desk), whole.pledges, NO_PLEDGES)
        releases(desk, facility, whole.pledges)
    with panel(desk, ("Loans", "贷款")):
        table(desk, _loan_columns(desk), whole.loans, NO_LOANS)
        approvals(desk, facility, whole.loans)
    with panel(desk, ("Bank instructions", "银行指令")):
        table(desk, _instruction_columns(desk), whole.instructions, NO_INSTRUCTIONS)


def _case_note(desk: Desk, case: CaseView) -> None:
    needed = case.data.get("needed")
    ask = (f"Repay {money(needed)} or pledge more. ", f"请还款 {money(needed)} 或追加质物。") if needed else ("", "")
    title = link(desk.t(case_title(case)), f"/cases/{case.id}")
    due = desk.t(("Deadline", "截止时间"))
    raw(
        f'<div class="note bad" data-case="{case.type}"><b>{title}</b> · {escape(desk.t(ask))}'
        f"{due} {deadline(desk, case.due_at, desk.now_us)}</div>"
    )


def _headline(desk: Desk, whole: Whole) -> None:
    facility, price = whole.facility, whole.price
    room = max(facility.limit - facility.principal - facility.interest, 0)
    day = (f"of {price.day}", f"{price.day} 价格") if price else ("no current price", "无有效价格")
    stats(
        desk,
        [
            (("Loan-to-value", "质押率"), percent(facility.ltv_bp), LEVELS[facility.level][0]),
            (
                ("Owed", "欠款"),
                money(facility.principal + facility.interest),
                (f"{money(facility.interest)} of it interest", f"其中利息 {money(facility.interest)}"),
            ),
            (("Collateral", "质物估值"), money(facility.value), tonnes(facility.collateral_kg)),
            (("Price a tonne", "每吨价格"), money(price.value if price else facility.price), day),
            (
                ("Room to draw", "可用额度"),
                money(room),
                (f"limit {money(facility.limit)}", f"额度 {money(facility.limit)}"),
            ),
        ],
    )
    if price is not None and price.proxy:
        label = tag(desk.t(("proxy price", "替代价格")), "warn")
        raw(
            f'<div class="muted">{label} {escape(desk.t((price.title, price.title_zh)))}: {escape(price.proxy)}. '
            f"{desk.t(('Source', '来源'))}: {escape(price.source)}.</div>"
        )


def _chart(desk: Desk, whole: Whole) -> None:
    facility = whole.facility
    lines = [
        (("warning", "警戒线"), facility.warning_bp / 100, AMBER),
        (("top-up", "补足线"), facility.top_up_bp / 100, "#c2410c"),
        (("disposal", "处置线"), facility.disposal_bp / 100, RED),
    ]
    chart = line_chart(desk, [(("Loan-to-value", "质押率"), whole.path)], lines=lines, unit=" %")
    reached = max([value for _, value in whole.path])
    chart.options["yAxis"].update(min=0, max=max(100, -(-int(reached) // 10) * 10 + 10))
    chart.options["series"][0].update(step="end", showSymbol=len(whole.path) < 40)


def _agreement(desk: Desk, facility: FacilityView) -> list[tuple[tuple[str, str], object]]:
    def signed(party: str) -> Html:
        done = party in facility.signed_by
        mark = tag(desk.t(("signed", "已签署")), "ok") if done else tag(desk.t(("to sign", "待签署")), "warn")
        return Html(f"{escape(desk.party(party))} {mark}")

    missing = tag(desk.t(("missing", "缺失")), "warn")
    return [
        (("State", "状态"), _state(desk, facility.state)),
        (("Lender", "贷款人"), signed(facility.lender)),
        (("Borrower", "借款人"), signed(facility.borrower)),
        (("Keeper", "监管方"), signed(facility.custodian)),
        (("Query certificate", "查询证明"), facility.certificate or missing),
        (("Registration", "登记编号"), facility.registration or missing),
        (("Advance rate", "质押率上限"), percent(facility.advance_rate_bp)),
        (("Interest a year", "年利率"), percent(facility.rate_bp)),
        (("Price series", "价格序列"), facility.series),
        (("Opened", "开立时间"), when(facility.opened_at)),
        (("Number", "编号"), short(facility.id)),
    ]


def _pledge_columns(desk: Desk) -> list[Column]:
    return [
        Column(("Receipt", "仓单"), lambda p: link(p.receipt_number or p.receipt_id, f"/receipts/{p.receipt_id}")),
        Column(("State", "状态"), lambda p: _state(desk, p.state)),
        Column(("Quantity", "数量"), lambda p: tonnes(p.quantity_kg) if p.state == "active" else "—", "num"),
        Column(("Tank", "储罐"), lambda p: link(p.tank_id, f"/tanks/{p.tank_id}") if p.tank_id else "—"),
        Column(("Pledge", "质押编号"), lambda p: short(p.id)),
    ]


def _loan_columns(desk: Desk) -> list[Column]:
    return [
        Column(("Loan", "贷款"), lambda item: short(item.id)),
        Column(("State", "状态"), lambda item: _state(desk, item.state)),
        Column(("Amount", "金额"), lambda item: money(item.amount), "num"),
        Column(("Asked for by", "申请人"), lambda item: item.requested_by),
        Column(("Instruction", "指令"), lambda item: short(item.instruction_id) if item.instruction_id else "—"),
    ]


def _instruction_columns(desk: Desk) -> list[Column]:
    return [
        Column(("Instruction", "指令"), lambda item: short(item.id)),
        Column(("Kind", "类型"), lambda item: desk.t(KINDS.get(item.kind, (item.kind, item.kind)))),
        Column(("State", "状态"), lambda item: _state(desk, item.state)),
        Column(("Amount", "金额"), lambda item: money(item.amount), "num"),
        Column(("From", "付款方"), lambda item: desk.party(item.debtor)),
        Column(("To", "收款方"), lambda item: desk.party(item.creditor)),
    ]
